"""What stops a center from being published, or makes an editor think twice (docs/how-to/publish-checks.md).

Rules are pure: they look at a compiled snapshot, at facts about the page, and at nothing else. `gather` fetches the
facts; the editor's form, the side panel and the log of what was published by code all ask there.
"""
