"""
Edit attributes of images
=========================

:class:`~dmzrep.editing.AttributeEditor` changes an attribute of an image, such as a beard, through its code:
it flips bits until a linear classifier of the code predicts the attribute, and decodes the new code.
"""

# %%
# The encoder of the first example is loaded, or trained if there is no file.

from pathlib import Path

from dmzrep import DMZEncoder
from dmzrep.datasets import load_avatars

X, Y = load_avatars(return_X_y=True)
X_train, X_test, Y_train, Y_test = X[:3500], X[3500:], Y[:3500], Y[3500:]

if Path("avatars.safetensors").exists():
    encoder = DMZEncoder.load("avatars.safetensors")
else:  # Trains for five minutes.
    encoder = DMZEncoder(128, max_time=300, random_state=0).fit(X_train)
    encoder.save("avatars.safetensors")

# %%
# A classifier for each attribute
# -------------------------------
#
# Labels are used here for the first time: the encoder was trained without them.

from dmzrep.editing import AttributeEditor

editor = AttributeEditor(encoder).fit(X_train, Y_train)

# %%
# Add and remove a beard
# ----------------------
#
# Each column aims at other log-odds of the attribute: -3 is a probability of 0.05, 3 of 0.95, and at the ends
# are those that are clear among the labelled images. Below each image is the probability after encoding the
# result again. Pixels that the edit does not affect are kept from the original.

from dmzrep.plotting import EditDisplay

faces = X_test[Y_test["long_hair"] == 0]
EditDisplay.from_estimator(editor, faces, "beard", max_images=4, random_state=0)

# %%
# Another attribute
# -----------------

EditDisplay.from_estimator(editor, X_test, "sunglasses", max_images=3, random_state=0)

# %%
# Hold an attribute
# -----------------
#
# Attributes that occur together are learned together: those with a beard often have short hair. ``hold``
# keeps another attribute as it is. The table has the mean probabilities before and after adding a beard to 32
# faces.

import matplotlib.pyplot as plt
import pandas as pd

from dmzrep.editing import edit_summary

rows = {}
for hold in ((), ("long_hair",)):
    images, codes = editor.edit(X_test[:32], "beard", hold=hold, random_state=0)
    summary = edit_summary(editor.report(X_test[:32], images, codes, "beard", hold=hold))
    name = "long_hair held" if hold else "nothing held"
    for attribute in ("beard", "long_hair"):
        rows[name, attribute] = summary.loc[attribute, ["before", "after"]]
plt.show()
pd.DataFrame(rows).T.round(2)

# %%
# Edits change what the code expresses: small details, or attributes for which a few bits are not enough,
# change little. Longer training gives sharper images.
