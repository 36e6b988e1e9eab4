"""Reading what a Display drew."""

import numpy as np


def drawn_images(display, n_rows):
    """Return the images as drawn, in rows."""
    images = np.stack([np.asarray(image.get_array()) for image in display.images_])
    return images.reshape(n_rows, -1, *images.shape[1:])


def texts(artists):
    return [artist.get_text() for artist in artists]
