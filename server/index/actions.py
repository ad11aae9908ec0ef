"""Actions: whether a question asks for what does something ("parse a date") or what something is ("date parser")."""

from __future__ import annotations

from server.index.lexical import stem
from server.model.tokens import words

_VERBS = frozenset(
    "accept access acquire activate add adjust aggregate allocate allow analyze append apply assemble assert assign "
    "attach authenticate authorize balance begin bind block bootstrap bound broadcast browse build bundle cache "
    "calculate call cancel capture cast catch change check choose clean clear clone close collapse collect combine "
    "commit compare compile complete compress compute concatenate configure confirm connect construct consume "
    "control convert copy count create customize cut deallocate debounce debug decide declare decode decompress "
    "decorate decrypt deduplicate define delay delegate delete deploy dequeue derive deserialize destroy detach "
    "detect determine disable discard disconnect dispatch display divide download draw drop dump edit emit enable "
    "encode encrypt end enforce enqueue ensure enter enumerate escape estimate evaluate exclude execute exit expand "
    "expire export expose extend extract fail fetch fill filter find finish fire fit fix flatten flush fold follow "
    "force format forward free generate get grant group grow guess handle hash hide hook ignore implement import "
    "include increment index infer inherit init initialize inject insert inspect install instantiate interpolate "
    "intercept interpret invalidate invoke iterate join keep kill launch lex limit link list listen load localize "
    "locate lock log lookup make manage map mark match measure merge migrate mock modify monitor mount move "
    "multiply negotiate normalize notify open optimize order override pack pad paginate parse partition pass patch "
    "pause perform persist pick ping plot poll pop populate post prepare prepend preserve press prevent print "
    "prioritize process produce profile prompt propagate protect provide prune publish pull purge push put query "
    "queue quote raise read rebuild receive reconnect record recover redirect reduce refresh register reject "
    "release reload remove rename render repeat replace reply report represent request require reset resize resolve "
    "respond restart restore resume retrieve retry return reverse revert rewrite roll rotate round route run "
    "sanitize save scale scan schedule scroll search seek select send serialize serve set setup shorten show "
    "shuffle shut sign simplify skip sleep slice solve sort spawn split start stash stop store stream strip submit "
    "subscribe subtract suggest sum supply support suppress suspend swap switch synchronize take terminate test "
    "throttle throw toggle tokenize trace track train transfer transform translate transmit traverse trigger trim "
    "truncate turn undo unescape uninstall unlock unmount unpack unregister unsubscribe unwrap update upgrade "
    "upload use validate verify view visit wait walk warn watch wrap write yield zip".split()
)
"""What code does, as imperatives."""
_STEMS = frozenset(map(stem, _VERBS))
_LEADING = frozenset(
    "how do does to i we you can where what which is are the a an way in please want need should would when my code"
    " that function method".split()
)
"""Words before the verb."""


def is_action(text: str) -> bool:
    """Tell whether a question begins with a verb, or asks how."""
    asked = [word.lower() for word in words(text)]
    if asked[:1] == ["how"]:
        return True
    first = next((word for word in asked if word not in _LEADING), "")
    return stem(first) in _STEMS
