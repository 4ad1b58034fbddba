"""What every part may use: files, images, tables, timing. Knows no other part."""
