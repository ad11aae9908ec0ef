"""Pieces: the parts that rare words are cut into, learned by merging the commonest neighbours (byte-pair encoding).

Written here because the `tokenizers` package breaks ties differently every time, and a training run must not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from itertools import pairwise

from server.model.vocabulary import CONTINUATION

_LETTERS = 200
"""Letters that are known at the start of a word, and as many inside: hardly a word is without them."""
_LONGEST = 40
"""Characters of a word that are looked at."""

Pair = tuple[str, str]


def learn(words: Mapping[str, int], size: int) -> list[str]:
    """Return at most `size` pieces for words with their counts; the same for the same words in any order."""
    cut = [([word[0], *(f"{CONTINUATION}{char}" for char in word[1:_LONGEST])], words[word]) for word in sorted(words)]
    letters = Counter[str]()
    for pieces, times in cut:
        letters.update(dict.fromkeys(pieces, times))
    known = sorted(letters, key=lambda letter: (-letters[letter], letter))[: min(size, 2 * _LETTERS)]
    usable = set(known)
    counts = Counter[Pair]()
    places: defaultdict[Pair, set[int]] = defaultdict(set)
    for number, (pieces, times) in enumerate(cut):
        for pair in pairwise(pieces):
            if usable.issuperset(pair):
                counts[pair] += times
                places[pair].add(number)
    queue = [(-times, pair) for pair, times in counts.items()]
    heapify(queue)
    while queue and len(known) < size:
        times, pair = heappop(queue)
        if -times != counts[pair]:
            continue  # an entry from before the count changed; the newer one is in the queue too
        merged = pair[0] + pair[1].removeprefix(CONTINUATION)
        if merged not in usable:
            usable.add(merged)
            known.append(merged)
        changed: dict[Pair, None] = {}
        for number in sorted(places.pop(pair)):
            pieces, weight = cut[number]
            fresh = _merge(pieces, pair, merged)
            for old in pairwise(pieces):
                if usable.issuperset(old):
                    counts[old] -= weight
                    changed[old] = None
            for new in pairwise(fresh):
                if usable.issuperset(new):
                    counts[new] += weight
                    places[new].add(number)
                    changed[new] = None
            cut[number] = (fresh, weight)
        for neighbour in changed:
            if counts[neighbour] > 0:
                heappush(queue, (-counts[neighbour], neighbour))
    return known


def _merge(pieces: list[str], pair: Pair, merged: str) -> list[str]:
    """Replace each occurrence of a pair by one piece."""
    fresh: list[str] = []
    at = 0
    while at < len(pieces):
        if at + 1 < len(pieces) and pieces[at] == pair[0] and pieces[at + 1] == pair[1]:
            fresh.append(merged)
            at += 2
        else:
            fresh.append(pieces[at])
            at += 1
    return fresh
