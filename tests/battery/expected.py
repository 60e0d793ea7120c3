"""The checks that a public function is known not to pass, with the reason. The length of this list is a figure."""

# check → function → reason. A function that passes after all fails the battery: it must leave the list.
EXPECTED: dict[str, dict[str, str]] = {
    "changed and changed back": {
        "pp.align_affine": "each new matrix moves the spots on from where they lie: two moves are one matrix, as its page says",
    },
    "dask": {
        "pp.check_registration": "says in its table that counts can't be read, and checks what it can without them",
    },
    "no spots": {
        "io.open_image": "opens the image of a section whether spots are left in it or not",
        "io.write": "an AnnData without spots is an AnnData: it is written and comes back",
        "pp.fit_stain": "learns from the image alone, whether spots are left or not",
    },
    "more genes": {
        "pp.score_pathways": "a set is compared with all genes of the section; reference= fixes which these are",
    },
}

# (function, parameter) → reason: a wrong value passes, or ends in an error from inside.
WRONG_TYPES: dict[tuple[str, str], str] = {
    ("io.SlideImage", "source"): "made by hs.io.open_image alone, which checks what it is given",
    ("io.SlideImage", "mpp"): "made by hs.io.open_image alone, which checks what it is given",
    ("io.SlideImage", "scale"): "made by hs.io.open_image alone, which checks what it is given",
    ("nn.Model", "module"): "made by the functions that learn, and by hs.nn.load, which check it",
}
