#!/usr/bin/env python3
# -*- coding: utf-8 -*-
# Copyright 2024 Somebody. All rights reserved.

"""Tools for parcels."""

from __future__ import annotations

import functools

LIMIT = 20
RATE = compute(LIMIT, factor=2)


def plain(a, b=1): return a + b


# Kept above the decorator.
@functools.lru_cache(maxsize=None)
# Kept between decorator and definition.
async def fetch(
    url: str,
    *,
    retries: int = 3,
) -> bytes:
    def attempt(n):
        """Try once."""
        return n

    return attempt(retries)


class Parcel(Base[int]):
    r"""A thing to send.

        Indented more.
    """

    weight: float = 1.0

    def __init__(self, weight):
        'Weigh it.'
        self.weight = weight

    @property
    def heavy(self) -> bool:
        return self.weight > 10

    @heavy.setter
    def heavy(self, value): ...

    class Label:
        def print(self): pass

    key = lambda self: self.weight


# Not documentation: an empty line follows.

if True:
    def conditional():
        # a comment, not a docstring
        return None

type Pair = tuple[Parcel, Parcel]
