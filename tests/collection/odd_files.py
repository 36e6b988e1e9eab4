"""A folder of about 100 odd files, as folders of pictures have them, and what a reader must do with each."""

import base64
import contextlib
import os
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, features

#: What a reader must do with a file.
SCENE = "read as the scene"
GREY_SCENE = "read as the scene in grey"
READ = "read"
UNREADABLE = "listed with the reason"
EITHER = "read, or listed with the reason"
IGNORED = "neither read nor listed"

#: Upper left, upper right, lower left and lower right quarter of the scene.
QUARTERS = np.array([[(255, 0, 0), (0, 160, 0)], [(0, 0, 255), (255, 255, 255)]], np.uint8)
HEIGHT, WIDTH = 24, 32
#: The scene as a JPEG with arithmetic coding, which Pillow reads but does not write.
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNS"
    "Mj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09P"
    "T0//yQARCAAYACADASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/AA0oskxHEfiLVCZjh0FFlXTLyafVM5JhQndWSerS"
    "lCPVQtQMQuVJkCU1YzDjX+bKZW6GlV1BGlf84eZrO/BoilqESalY/9k="
)
#: Names that are legal on POSIX; the last one is no UTF-8.
NAMES = [
    "кот.png",
    "猫の写真.png",
    "😀 family 👩‍👧‍👦.png",  # With zero-width joiners.
    "caf\u00e9 composed.png",
    "cafe\u0301 combining.png",
    "\u202ereversed gnp.png",  # Right-to-left override.
    "new\nline.png",
    "tab\tand  spaces .png",
    "quote'\"`$HOME.png",
    "<b>&amp;%20#a?b.png",
    "-rf.png",
    "*[0-9]?.png",
    "back\\slash.png",
    "comma,semicolon;.png",
    "l" * 251 + ".png",
    os.fsdecode(b"latin-1 \xe9.png"),
]


def scene(height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    """Return four quarters of different colours."""
    rows, columns = (np.arange(n) * 2 // n for n in (height, width))
    return Image.fromarray(QUARTERS[rows][:, columns])


def grey_scene() -> Image.Image:
    return scene().convert("L")


def see_through_scene(mode: str) -> Image.Image:
    """Return the scene with a transparent lower right quarter, which hides black."""
    picture = scene().convert("RGBA")
    picture.paste((0, 0, 0, 0), (WIDTH // 2, HEIGHT // 2, WIDTH, HEIGHT))
    return picture.convert(mode)


def write_odd_files(folder: str | os.PathLike) -> dict[str, str]:
    """Write the files into a new folder; return what a reader must do with each, by relative path.

    Needs POSIX. Call `restore_permissions` before the folder is removed.
    """
    root = Path(folder)
    root.mkdir(parents=True)
    expected: dict[str, str] = {}
    for write in (_modes, _formats, _orientations, _shapes, _names, _links, _damaged, _bombs, _disguises):
        expected |= write(root)
    return expected | _special(root)


def restore_permissions(folder: str | os.PathLike) -> None:
    """Make all files of the folder readable again."""
    for name in ("denied.png", "denied folder"):
        with contextlib.suppress(OSError):
            os.chmod(Path(folder, name), 0o755)


def _modes(root: Path) -> dict[str, str]:
    """Write pictures of all modes: transparency, palettes, CMYK, grey and 16 bits."""
    see_through_scene("RGBA").save(root / "rgba.png")
    see_through_scene("RGBA").save(root / "rgba.webp", lossless=True, exact=True)
    see_through_scene("RGBA").save(root / "rgba.tif")
    see_through_scene("LA").save(root / "grey and alpha.png")
    scene().quantize(8).save(root / "palette.png")
    see_through_scene("RGBA").quantize(8).save(root / "palette with alpha.png")
    see_through_scene("RGBA").save(root / "palette.gif")
    index = Image.fromarray(np.asarray(scene().quantize(4)))
    colours = scene().quantize(4).getpalette()
    index = index.convert("P")
    index.putpalette(colours)
    index.save(root / "palette with a transparent colour.png", transparency=index.getpixel((WIDTH - 1, 23)))
    scene().save(root / "rgb with a transparent colour.png", transparency=(255, 255, 255))
    scene().convert("CMYK").save(root / "cmyk.jpg", quality=95)
    scene().convert("CMYK").save(root / "cmyk.tif")
    scene().convert("LAB").save(root / "lab.tif")
    grey_scene().save(root / "grey.jpg", quality=95)
    grey_scene().save(root / "grey.png")
    deep = np.asarray(grey_scene()).astype(np.uint16) * 257
    for name in ("16 bits.png", "16 bits.tif", "16 bits.pgm"):
        Image.fromarray(deep).save(root / name)
    (root / "16 bits rgb.png").write_bytes(png(np.asarray(scene()).astype(">u2") * 257))
    scene().convert("1").save(root / "1 bit.png")
    scene().convert("1").save(root / "1 bit.tif", compression="group4")
    Image.fromarray(deep.astype(np.int32)).save(root / "32 bits.tif")
    Image.fromarray(deep.astype(np.float32)).save(root / "float.tif")
    in_colour = ["rgba.png", "rgba.webp", "rgba.tif", "palette.png", "palette with alpha.png", "palette.gif"]
    in_colour += ["palette with a transparent colour.png", "rgb with a transparent colour.png", "cmyk.jpg"]
    in_colour += ["cmyk.tif", "16 bits rgb.png"]
    in_grey = ["grey and alpha.png", "grey.jpg", "grey.png", "16 bits.png", "16 bits.tif", "16 bits.pgm"]
    return {
        **dict.fromkeys(in_colour, SCENE),
        **dict.fromkeys(in_grey, GREY_SCENE),
        **dict.fromkeys(("1 bit.png", "1 bit.tif", "lab.tif"), READ),
        **dict.fromkeys(("32 bits.tif", "float.tif"), UNREADABLE),
    }


def _formats(root: Path) -> dict[str, str]:
    """Write several frames, pages and sizes in one file, and less usual formats and codings."""
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("black", "yellow")]
    for name in ("animated.gif", "animated.webp", "animated.png", "pages.tif"):
        options = {"lossless": True} if name.endswith("webp") else {}
        scene().save(root / name, save_all=True, append_images=frames, **options)
    scene().save(root / "several.mpo", save_all=True, append_images=frames, quality=95)
    scene(32, 32).save(root / "icon.ico", sizes=[(16, 16), (32, 32)])
    for name in ("bitmap.bmp", "picture.tga", "picture.ppm", "picture.pcx"):
        scene().save(root / name)
    names = ["animated.gif", "animated.webp", "animated.png", "pages.tif", "icon.ico", "bitmap.bmp"]
    names += ["picture.tga", "picture.ppm", "picture.pcx", "progressive.jpg", "trailing bytes.jpg"]
    names += ["arithmetic.jpg", "wrong profile.jpg", "comment.jpg", "several.mpo"]
    scene().save(root / "progressive.jpg", progressive=True, quality=95)
    scene().save(root / "comment.jpg", comment=b"\xff\xfe\x00" * 1000, quality=95)
    scene().save(root / "wrong profile.jpg", icc_profile=b"no profile", quality=95)
    scene().save(root / "trailing bytes.jpg", quality=95)
    with open(root / "trailing bytes.jpg", "ab") as file:
        file.write(b"\0" * 5000)
    (root / "arithmetic.jpg").write_bytes(ARITHMETIC)
    if features.check("jpg_2000"):
        names.append("jpeg 2000.jp2")
        scene().save(root / "jpeg 2000.jp2")
    return dict.fromkeys(names, SCENE)


def _orientations(root: Path) -> dict[str, str]:
    """Write pictures that stand upright after their EXIF orientation, and invalid orientations."""
    turns = Image.Transpose
    stored = [None, turns.FLIP_LEFT_RIGHT, turns.ROTATE_180, turns.FLIP_TOP_BOTTOM, turns.TRANSPOSE]
    stored += [turns.ROTATE_90, turns.TRANSVERSE, turns.ROTATE_270]
    expected = {}
    for orientation, turn in enumerate(stored, 1):
        picture = scene() if turn is None else scene().transpose(turn)
        for ending in ("jpg", "png", "webp", "tif") if orientation == 6 else ("jpg",):
            expected[f"orientation {orientation}.{ending}"] = SCENE
            save_with_exif(picture, root / f"orientation {orientation}.{ending}", orientation)
    for invalid in (0, 9, 65535):
        expected[f"orientation {invalid}.jpg"] = SCENE
        save_with_exif(scene(), root / f"orientation {invalid}.jpg", invalid)
    deep = np.rot90(np.asarray(grey_scene())).astype(np.uint16) * 257
    save_with_exif(Image.fromarray(deep), root / "orientation 6, 16 bits.png", 6)
    save_with_damaged_exif(root / "damaged exif.jpg")
    return expected | {"orientation 6, 16 bits.png": GREY_SCENE, "damaged exif.jpg": SCENE}


def save_with_exif(picture: Image.Image, path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(path, exif=exif, **({} if path.suffix in (".png", ".tif") else {"quality": 95}))


def save_with_damaged_exif(path: Path) -> None:
    """Save the scene with EXIF data that end early, about which Pillow warns."""
    scene().save(path, exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\x01", quality=95)


def _shapes(root: Path) -> dict[str, str]:
    """Write extreme aspect ratios and single pixels."""
    for name, height, width in [("tall.png", 2000, 1), ("wide.png", 1, 2000), ("wide.jpg", 2, 60_000)]:
        Image.new("RGB", (width, height), "red").save(root / name)
    for name in ("1x1.png", "1x1.jpg", "1x1.gif", "1x1.webp"):
        Image.new("RGB", (1, 1), "red").save(root / name)
    return dict.fromkeys(("tall.png", "wide.png", "wide.jpg", *(f"1x1.{e}" for e in _BASIC)), READ)


_BASIC = ("png", "jpg", "gif", "webp")


def _names(root: Path) -> dict[str, str]:
    """Write unusual names."""
    folder = root / "Ünï 📁"
    folder.mkdir()
    for name in NAMES:
        scene().save(folder / name)
    scene().save(root / "UPPER.JPG", quality=95)
    scene().save(root / "Mixed.JpEg", quality=95)
    scene().save(root / ".hidden.png")
    scene().save(root / "no ending", "PNG")
    (root / "folder named.jpg").mkdir()
    scene().save(root / "folder named.jpg" / "inside.png")
    names = [f"{folder.name}/{name}" for name in NAMES]
    names += ["UPPER.JPG", "Mixed.JpEg", "folder named.jpg/inside.png"]
    return dict.fromkeys(names, SCENE) | {".hidden.png": IGNORED, "no ending": IGNORED}


def _links(root: Path) -> dict[str, str]:
    """Write links to files, to folders and to a device, and broken ones."""
    (root / "real").mkdir()
    scene().save(root / "real" / "picture.png")
    (root / "link to a file.png").symlink_to(root / "real" / "picture.png")
    os.link(root / "real" / "picture.png", root / "hard link.png")
    (root / "link to a folder").symlink_to(root / "real")
    (root / "link to the parent").symlink_to(root)
    (root / "link to a folder.png").symlink_to(root / "real")
    (root / "broken link.png").symlink_to(root / "nowhere.png")
    (root / "link to itself.png").symlink_to("link to itself.png")
    (root / "link to a device.png").symlink_to("/dev/null")
    read = ["real/picture.png", "link to a file.png", "hard link.png"]
    listed = ["link to a folder", "link to the parent", "link to a folder.png", "broken link.png"]
    listed += ["link to itself.png", "link to a device.png"]
    return dict.fromkeys(read, SCENE) | dict.fromkeys(listed, UNREADABLE)


def _damaged(root: Path) -> dict[str, str]:
    """Write empty and truncated files."""
    expected = {}
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    for ending in (*_BASIC, "tif", "bmp"):
        noise.save(root / "whole", {"jpg": "jpeg", "tif": "tiff"}.get(ending, ending))
        whole = (root / "whole").read_bytes()
        (root / f"truncated.{ending}").write_bytes(whole[: len(whole) // 2])
        (root / f"header only.{ending}").write_bytes(whole[:12])
        (root / f"empty.{ending}").write_bytes(b"")
        for what in ("truncated", "header only", "empty"):
            expected[f"{what}.{ending}"] = UNREADABLE
    (root / "whole").unlink()
    wrong = bytearray(png(np.asarray(scene())))
    wrong[-20] ^= 0xFF
    (root / "wrong checksum.png").write_bytes(wrong)
    return expected | {"wrong checksum.png": EITHER, "truncated.gif": EITHER}


def _bombs(root: Path) -> dict[str, str]:
    """Write small files of huge pictures: far too large, and just below the largest size of Pillow."""
    (root / "bomb.png").write_bytes(png_of_one_colour(30_000, 30_000))
    (root / "large.png").write_bytes(png_of_one_colour(10_000, 10_000))
    (root / "large and transparent.png").write_bytes(png_of_one_colour(13_000, 13_000, n_channels=4))
    (root / "bomb.gif").write_bytes(b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";")
    large = ("large.png", "large and transparent.png")
    return {"bomb.png": UNREADABLE, "bomb.gif": UNREADABLE} | dict.fromkeys(large, EITHER)


def _disguises(root: Path) -> dict[str, str]:
    """Write files with misleading extensions."""
    (root / "text.jpg").write_text("This is no picture.\n" * 100)
    (root / "page.png").write_text("<!doctype html><title>404</title>")
    (root / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (root / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    (root / "PHOTO.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (root / "raw.CR2").write_bytes(b"II*\0\x10\0\0\0CR\x02\0" + bytes(100))
    (root / "archive.png").write_bytes(b"PK\x03\x04" + bytes(100))
    scene().save(root / "png named.jpg", "PNG")
    scene().save(root / "jpeg named.png", "JPEG", quality=95)
    (root / "notes.txt").write_text("Notes.")
    (root / "Thumbs.db").write_bytes(bytes(100))
    listed = ("text.jpg", "page.png", "drawing.svg", "photo.heic", "PHOTO.HEIC", "raw.CR2", "archive.png")
    return {
        **dict.fromkeys(listed, UNREADABLE),
        **dict.fromkeys(("png named.jpg", "jpeg named.png"), SCENE),
        **dict.fromkeys(("notes.txt", "Thumbs.db"), IGNORED),
    }


def fuzz(content: bytes, random: np.random.Generator, n_bytes: int = 4, within: int = 64) -> bytes:
    """Replace some of the first bytes, after the first two, by random ones."""
    out = bytearray(content)
    for place in random.integers(2, min(within, len(content)), n_bytes):
        out[place] = random.integers(256)
    return bytes(out)


def _special(root: Path) -> dict[str, str]:
    """Write a pipe, a socket, a file and a folder without permission. Root may read everything."""
    os.mkfifo(root / "pipe.jpg")
    expected = {"pipe.jpg": UNREADABLE}
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as end:  # Long paths are refused.
        end.bind(str(root / "socket.png"))
        expected["socket.png"] = UNREADABLE
    scene().save(root / "denied.png")
    (root / "denied.png").chmod(0)
    (root / "denied folder").mkdir()
    scene().save(root / "denied folder" / "inside.png")
    (root / "denied folder").chmod(0)
    if os.geteuid() == 0:
        return expected | {"denied.png": SCENE, "denied folder/inside.png": SCENE}
    return expected | {"denied.png": UNREADABLE, "denied folder": UNREADABLE}


def png(pixels: np.ndarray) -> bytes:
    """Return a PNG of RGB pixels of 8 bits, or of 16 bits with the most significant byte first."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return _png(width, height, 8 * pixels.dtype.itemsize, 2, zlib.compress(rows))


def png_of_one_colour(width: int, height: int, n_channels: int = 1) -> bytes:
    """Return a PNG of grey (1 channel) or RGBA (4) pixels that are 0; no row is compressed twice."""
    row = bytes(width * n_channels + 1)
    compressor = zlib.compressobj(wbits=-15)
    first = compressor.compress(row) + compressor.flush(zlib.Z_FULL_FLUSH)
    checksum = 1
    for _ in range(height):
        checksum = zlib.adler32(row, checksum)
    end = b"\x01\0\0\xff\xff"  # An empty last block.
    colour = {1: 0, 4: 6}[n_channels]
    return _png(width, height, 8, colour, b"\x78\x9c" + first * height + end + struct.pack(">I", checksum))


def _png(width: int, height: int, depth: int, colour: int, data: bytes) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def differs(image: np.ndarray, expected: str) -> float:
    """Return the largest difference of an RGB image from what is expected of it, at the quarters' centres."""
    height, width = image.shape[:2]
    centres = image[height // 4 :: height // 2][:2, width // 4 :: width // 2][:, :2].astype(float)
    quarters = QUARTERS.astype(float)
    if expected == GREY_SCENE:
        weights = np.array([0.299, 0.587, 0.114])
        centres, quarters = centres @ weights, quarters @ weights
    return float(np.abs(centres - quarters).max())
