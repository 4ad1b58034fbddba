"""Pixels in and out: messages, bags, videos, folders of images."""
