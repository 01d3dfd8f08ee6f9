#!/usr/bin/python3
"""Style by numbers, the include table, the library table, the glossary and the codes.

Every rule that docs/HACKING.md marks as enforced is checked here; each finding is one line
`file:line: what`. Ends with `N passed, N failed`, one check being one rule."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Room -> rooms it may include (docs/ARCHITECTURE.md). The empty room is proxy/main.c.
ROOMS = {
    "proxy/base": set(),
    "raftreg/core": set(),
    "proxy/net": {"proxy/base"},
    "proxy/http": {"proxy/base"},
    "proxy/codec": {"proxy/base"},
    "config": {"proxy/base"},
    "proxy/upstream": {"proxy/http", "proxy/net", "config", "proxy/base"},
    "proxy/exchange": {"proxy/upstream", "proxy/http", "proxy/net", "config", "proxy/base"},
    "filters": {"proxy/exchange", "proxy/codec", "proxy/http", "config", "proxy/base"},
    "proxy/broker": {"proxy/upstream", "proxy/exchange", "proxy/codec", "proxy/http", "proxy/net",
                     "config", "proxy/base"},
    "raftreg": {"raftreg/core", "proxy/upstream", "proxy/http", "proxy/net", "config", "proxy/base"},
    "proxy/control": {"proxy/base", "proxy/net", "proxy/http", "proxy/codec", "config",
                      "proxy/upstream", "proxy/exchange", "filters", "proxy/broker", "raftreg",
                      "raftreg/core"},
    "proxy/admin": {"proxy/base", "proxy/net", "proxy/http", "proxy/codec", "config",
                    "proxy/upstream", "proxy/exchange", "filters", "proxy/broker", "raftreg",
                    "raftreg/core", "proxy/control"},
    "proxy/cli": {"config", "proxy/codec", "proxy/http", "proxy/net", "proxy/base"},
    "proxy": {"proxy/control", "proxy/admin", "proxy/cli", "filters", "proxy/base"},
}
# Header of an outside library -> rooms that may include it.
LIBRARIES = {
    r"event2?/": {"proxy/net"},
    r"openssl/": {"proxy/net"},
    r"nghttp2/": {"proxy/http"},
    r"zlib\.h": {"proxy/codec"},
    r"jansson\.h": {"config", "proxy/admin", "proxy/cli"},
    r"protobuf-c/": {"raftreg", "proxy/broker"},
}
FUNCTION_LINES = 70
FILE_LINES = 800
HEADER_LINES = 150
COLUMNS = 100
PARAMETERS = 6
COMMENT_SHARE = (12, 30)

findings = {}


def report(rule, path, line, text):
    findings.setdefault(rule, []).append("%s:%d: %s" % (os.path.relpath(path, ROOT), line, text))


def sources():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others",
                             "--exclude-standard"], capture_output=True, text=True, check=True)
    for name in sorted(set(listed.stdout.splitlines())):
        if re.search(r"\.(c|h|def)$", name) and os.path.exists(os.path.join(ROOT, name)):
            yield os.path.join(ROOT, name)


def room_of(path):
    folder = os.path.dirname(os.path.relpath(path, ROOT))
    while folder and folder not in ROOMS:
        folder = os.path.dirname(folder)
    return folder if folder in ROOMS else None


def width(line):
    return len(line.expandtabs(8))


def blank_comments_and_strings(text):
    """Comments, strings and characters become blanks; line breaks stay."""
    text = re.sub(r"__attribute__\(\(.*?\)\)\)?", lambda m: " " * len(m.group(0)), text)
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return pattern.sub(blank, text)


def comment_lines(text):
    lines = set()
    for match in re.finditer(r"/\*.*?\*/", text, re.S):
        first = text.count("\n", 0, match.start())
        last = text.count("\n", 0, match.end())
        lines.update(range(first, last + 1))
    return len(lines)


FUNCTION = re.compile(r"^(?P<head>(?!typedef|struct \w+ \{|enum|#)[A-Za-z_][^;{}=#]*?"
                      r"\b(?P<name>[a-z_][a-z0-9_]*)\((?P<arguments>[^;{}]*)\))\n\{\n", re.M)


def functions(code):
    """Yields (name, line, lines, arguments, static) of each function definition."""
    for match in FUNCTION.finditer(code):
        end = code.find("\n}", match.end() - 1)
        if end < 0:
            continue
        line = code.count("\n", 0, match.start()) + 1
        length = code.count("\n", match.end(), end) + 1
        yield (match.group("name"), line, length, match.group("arguments"),
               "static" in match.group("head").split())


def count_arguments(text):
    depth = 0
    commas = 0
    for letter in text:
        depth += letter == "("
        depth -= letter == ")"
        commas += letter == "," and depth == 0
    return 0 if text.strip() in ("", "void") else commas + 1


def generated(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return "generated" in file.read(400).lower()


def check_numbers(path, text, code):
    lines = text.splitlines()
    limit = HEADER_LINES if path.endswith(".h") else FILE_LINES
    if len(lines) > limit and not path.endswith(".def"):
        report("file length", path, len(lines), "%d lines, at most %d" % (len(lines), limit))
    for number, line in enumerate(lines, 1):
        if width(line) > COLUMNS and not path.endswith(".def"):
            report("line length", path, number, "%d columns" % width(line))
    for name, line, length, arguments, _ in functions(code):
        if length > FUNCTION_LINES:
            report("function length", path, line, "%s has %d lines" % (name, length))
        # h2_send_read has the type that nghttp2 demands of its callback.
        if count_arguments(arguments) > PARAMETERS and "/tests/" not in path \
                and name != "h2_send_read":
            report("parameters", path, line, "%s takes more than %d" % (name, PARAMETERS))
    for number, line in enumerate(code.splitlines(), 1):
        if re.search(r"^\s*typedef\s+(struct|enum|union)\b", line):
            report("typedef", path, number, "a struct is named by its tag")
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            report("unfinished marks", path, number, line.strip())
        if re.search(r"(^|[^:\"'])//", re.sub(r'"(\\.|[^"\\])*"', '""', line)) \
                and "/*" not in line and " * " not in line:
            report("comment form", path, number, "comments are /* */")


def check_names(path, code):
    """module_verb_object: the module is the file, a struct its header declares, or the room."""
    stem = os.path.basename(path)[:-2]
    allowed = {stem.split("_")[0], stem.rstrip("s"), os.path.basename(os.path.dirname(path))}
    allowed.add({"raftreg/core": "raft", "proxy/http": "http"}.get(room_of(path), stem))
    header = path[:-2] + ".h"
    if os.path.exists(header):
        with open(header, encoding="utf-8") as file:
            allowed.update(re.findall(r"\b(?:struct|enum) (\w+)", file.read()))
    for name, line, _, _, static in functions(code):
        if static or name == "main" or name.startswith(("LLVM", "__")):
            continue
        if name.startswith(stem):
            continue
        if not any(name == prefix or name.startswith(prefix + "_") for prefix in allowed):
            report("public names", path, line, "%s does not begin with %s" %
                   (name, " or ".join(sorted(allowed))))


def check_header(path, text):
    if not re.match(r"\s*/\*", text):
        report("header opens with a comment", path, 1, "what it is, who owns what, which thread")
    if "#ifndef PILLION_" not in text:
        report("header guard", path, 1, "no PILLION_ guard")


def check_includes(path, text, graph):
    room = room_of(path)
    if room is None:
        return
    for match in re.finditer(r'^#include\s+(["<])([^">]+)[">]', text, re.M):
        line = text.count("\n", 0, match.start()) + 1
        name = match.group(2)
        if match.group(1) == "<":
            for pattern, rooms in LIBRARIES.items():
                if re.match(pattern, name) and room not in rooms:
                    report("library table", path, line, "%s in %s" % (name, room))
            continue
        target = None
        for base in ("", "proxy"):
            candidate = os.path.join(ROOT, base, name)
            if os.path.exists(candidate):
                target = candidate
                break
        if target is None:
            continue  # generated at build time (protobuf-c)
        other = room_of(target)
        graph.setdefault(path, set()).add(target)
        if other is not None and other != room and other not in ROOMS[room]:
            report("include table", path, line, "%s may not include %s" % (room, other))


def check_circles(graph):
    done = set()

    def visit(node, trail):
        if node in trail:
            circle = trail[trail.index(node):] + [node]
            report("include circles", node, 1,
                   " -> ".join(os.path.relpath(p, ROOT) for p in circle))
            return
        if node in done:
            return
        for other in sorted(graph.get(node, ())):
            visit(other, trail + [node])
        done.add(node)
    for node in sorted(graph):
        visit(node, [])


def check_density(totals):
    for room, (lines, comments, asserts, count) in sorted(totals.items()):
        share = 100.0 * comments / max(lines, 1)
        path = os.path.join(ROOT, room)
        if not COMMENT_SHARE[0] <= share <= COMMENT_SHARE[1]:
            report("comment share", path, 0, "%.1f %% of lines, expected %d to %d" %
                   (share, *COMMENT_SHARE))
        wanted = {"raftreg/core": 2.0}.get(room, 0.0)
        if wanted and asserts < wanted * count:
            report("assertions", path, 0, "%d in %d functions, expected %.1f a function" %
                   (asserts, count, wanted))


def check_codes(all_text):
    path = os.path.join(ROOT, "proxy/base/codes.def")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    seen = {}
    for match in re.finditer(r"^\s*REASON\(\s*(\w+),\s*(\d+),[^,]*,[^,]*,\s*\w+,\s*(\d)", text, re.M):
        line = text.count("\n", 0, match.start()) + 1
        word, number, stage = match.groups()
        if word in seen:
            report("codes", path, line, "%s stands twice" % word)
        seen[word] = line
        if stage == "1" and not re.search(r"\bREASON_%s\b" % word, all_text):
            report("codes", path, line, "%s is never used" % word)
    numbers = {}
    for match in re.finditer(r"^\s*CODE\(\s*(\d+),[^,]*,[^,]*,\s*(\d)", text, re.M):
        line = text.count("\n", 0, match.start()) + 1
        number, stage = match.groups()
        if number in numbers:
            report("codes", path, line, "PIL%s stands twice" % number)
        numbers[number] = line
        if stage == "1" and not re.search(r"\b(PIL)?%s\b" % number, all_text):
            report("codes", path, line, "PIL%s is never used" % number)


def check_glossary(all_identifiers):
    """The third column of the glossary's table lists words that its term replaces."""
    path = os.path.join(ROOT, "docs/GLOSSARY.md")
    with open(path, encoding="utf-8") as file:
        rows = re.findall(r"^\|\s*\*\*(\w[^|]*?)\*\*\s*\|[^|]*\|([^|]*)\|\s*$", file.read(), re.M)
    for term, replaced in rows:
        for word in re.findall(r"`(\w+)`", replaced):
            for identifier, where in all_identifiers.items():
                if re.search(r"(^|_)%s(_|$)" % word, identifier):
                    report("glossary", where, 1, "%s: the word is %s" % (identifier, term))


def main():
    graph = {}
    totals = {}
    all_text = []
    identifiers = {}
    rules = ["file length", "line length", "function length", "parameters", "typedef",
             "unfinished marks", "comment form", "public names", "header opens with a comment",
             "header guard", "library table", "include table", "include circles", "comment share",
             "assertions", "codes", "glossary"]
    for path in sources():
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if generated(path):
            continue
        relative = os.path.relpath(path, ROOT)
        code = blank_comments_and_strings(text)
        check_numbers(path, text, code)
        room = room_of(path)
        if relative.startswith("tests/") or room is None:
            continue
        check_includes(path, text, graph)
        if path.endswith(".h"):
            check_header(path, text)
        if path.endswith(".c"):
            check_names(path, code)
        if not path.endswith(".def"):
            lines, comments, asserts, count = totals.get(room, (0, 0, 0, 0))
            totals[room] = (lines + len([l for l in text.splitlines() if l.strip()]), comments + comment_lines(text),
                            asserts + len(re.findall(r"ASSERT\w*\(", code)),
                            count + len(list(functions(code))))
            for identifier in set(re.findall(r"\b(?:struct|enum) (\w+)", code)):
                identifiers.setdefault(identifier, path)
        if not relative.endswith("codes.def"):
            all_text.append(text)
    check_circles(graph)
    check_density(totals)
    check_codes("\n".join(all_text))
    check_glossary(identifiers)
    for rule in sorted(findings):
        for line in findings[rule]:
            print("%s  [%s]" % (line, rule))
    failed = len(findings)
    print("%d passed, %d failed" % (len(rules) - len([r for r in rules if r in findings]), failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
