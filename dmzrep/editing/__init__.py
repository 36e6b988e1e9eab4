"""Change attributes of images through their codes."""

from dmzrep.editing.editor import AttributeEditor
from dmzrep.editing.report import edit_summary

__all__ = ["AttributeEditor", "edit_summary"]
