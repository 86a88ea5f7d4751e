"""The sections of a report, one file each; `page` holds their order."""
