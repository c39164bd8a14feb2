# SPDX-License-Identifier: BSD-2-Clause
"""What `tests/run --again` makes of end-to-end tests that fail: each runs again by itself
at the end, three times in a row.  One that passes all three is unsteady, and does not fail
the run; of these there may be two at most.

Nothing runs again that proves a fault by failing once, as a wrong verdict, a crash or a report
of a sanitizer does.
"""
TIMES, MOST = 3, 2


class Again:
    def __init__(self):
        self.first = {}	# name: what it said as it failed, in the order in which they did
        self.proven = set()

    def takes(self, name, text, proven):
        """A test, or a part of it, has failed.  Whether it is to run again; else it has failed."""
        if proven:
            self.proven.add(name)
            self.first.pop(name, None)
        if name in self.proven:
            return False
        self.first[name] = self.first.get(name, "") + text
        return True

    def judge(self, passes):
        """The unsteady ones, and those that have failed; passes(name) runs one again by itself."""
        unsteady, failed = [], []
        for name in self.first:
            if len(unsteady) > MOST:	# nothing saves the run any more
                failed.append(name)
            elif all(passes(name) for _ in range(TIMES)):
                unsteady.append(name)
            else:
                failed.append(name)
        if len(unsteady) > MOST:
            failed = [n for n in self.first if n in failed + unsteady]
            unsteady = []
        return unsteady, failed


def line(name):
    return f"unsteady: {name}: failed once beside others, passed {TIMES} of {TIMES} alone"
