"""A page in the browser to try the papers on a clip or two pictures: `python -m common.demo`."""
