"""Change attributes of images through their codes."""

from dmzrep.editing._editor import AttributeEditor
from dmzrep.editing._interpolation import interpolate
from dmzrep.editing._report import edit_summary

__all__ = ["AttributeEditor", "edit_summary", "interpolate"]
