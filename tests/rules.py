"""Rules of the architecture and of style that need only the text of the sources. Each takes {path: text} and yields
'path:line: what is wrong'; tests/layering_test.py applies them to the tree, tests/rules_test.py to planted cases."""
import re

from definitions import end_of, without_text

MOST_BY_POSITION = 5  # members of an Args that may be filled by position
# Libraries neither print nor exit: they throw, and the program decides. Who else may, and why.
MAY_PRINT_OR_EXIT = {
    'parallel/comm/mpi/mpi_communicator.cc': 'abort() ends every process of the run',
    'trainer/bench/busy_processes.cc': 'a child process that only makes the machine busy ends itself',
    'trainer/bench/step_worker.cc': 'a worker process answers its parent through standard output',
}
PRINTS_OR_EXITS = re.compile(r'\bstd::(?:cout|cerr|clog)\b|(?<![\w.>])(?:std::)?(?:v?f?printf|f?puts|f?putc|putchar|perror|v?dprintf)\s*\('
                             r'|(?<![\w.>:])(?:::)?(?:std::)?(?:_?exit|_Exit|quick_exit|terminate)\s*\('
                             r'|(?<![\w.>])std::(?:exit|_Exit|quick_exit|terminate|abort)\b|\bSTD(?:OUT|ERR)_FILENO\b')
# British spellings, looked for in each word of an identifier as well.
WORD = re.compile(r'[A-Z]?[a-z]+')
BRITISH = re.compile(
    r'\w+is(?:e|ed|er|ers|es|ing|ation|ations|able)$|\w*(?:behavi|neighb|col|fav|hon|lab)our\w*$'
    r'|(?:licence|defence|offence|artefact|centre|litre|catalogue|analyse|grey|learnt|spelt|burnt|towards|whilst|amongst)s?d?$'
    r'|\w*(?:cancel|label|model|signal|travel|level)l(?:ed|ing)$', re.IGNORECASE)
# Words in -ise that are no verbs in -ize.
AMERICAN = re.compile(r'(?:\w*wise|rais\w+|nois\w+|pois\w+|prais\w+|ris(?:e|es|ing)|aris\w+|promis\w+|compromis\w+|precise|imprecise|'
                      r'exercis\w+|advis\w+|revis\w+|devis\w+|supervis\w+|comprise\w*|surpris\w+|concise|premises?|expertise|'
                      r'disable)$', re.IGNORECASE)


def line_of(text, at):
    return text.count('\n', 0, at) + 1


def includes(text):
    """(line, path) of each include of a file of the project."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r'\s*#\s*include\s*"([^"]+)"', line):
            yield number, match[1]


def circles(sources):
    """Folders, at any depth, that include one another: neither can be understood or tested without the other."""
    edges = {}
    for path, text in sources.items():
        folder = path.rpartition('/')[0]
        for number, target in includes(text):
            other = target.rpartition('/')[0]
            if other != folder:
                edges.setdefault(folder, {}).setdefault(other, f'{path}:{number}: includes {target}')

    def reachable(start):
        seen, open_ends = set(), [start]
        while open_ends:
            new = set(edges.get(open_ends.pop(), ())) - seen
            seen |= new
            open_ends += new
        return seen
    reach = {folder: reachable(folder) for folder in edges}
    for folder, others in sorted(edges.items()):
        for other, where in sorted(others.items()):
            if folder in reach.get(other, ()):
                yield f'{where}, but {other}/ leads back to {folder}/'


def split_arguments(code):
    """The parts of an argument list between its commas."""
    parts, depth, begin = [], 0, 0
    for i, c in enumerate(code):
        depth += (c in '([{') - (c in ')]}')
        if c == ',' and depth == 0:
            parts.append(code[begin:i])
            begin = i + 1
    return [p.strip() for p in parts + [code[begin:]] if p.strip()]


def by_position(code, brace):
    """How many members the initializer that begins at `brace` fills by position."""
    parts = split_arguments(code[brace + 1:end_of(code, brace) - 1])
    return 0 if any(p.startswith('.') for p in parts) else len(parts)


def num_members(body):
    """Of a struct, by the names that its declarations list."""
    declarations = [d for d in re.split(r';', body) if d.strip() and '(' not in d.partition('=')[0].replace('std::function', '')]
    return sum(len(split_arguments(re.sub(r'<[^<>]*>|\{[^{}]*\}', '', d))) for d in declarations)


def args_by_position(sources):
    """Args of more than five members are filled by name, so that a reader need not count and a new member shifts none."""
    code = {path: without_text(text) for path, text in sources.items()}
    long = {m[1] for text in code.values() for m in re.finditer(r'\bstruct (\w+Args)\s*(?:final\s*)?\{', text)
            if num_members(text[m.end():end_of(text, m.end() - 1) - 1]) > MOST_BY_POSITION}
    takers = {}  # function -> places of its long Args among the parameters
    for text in code.values():
        for m in re.finditer(r'\b(\w+)\(((?:[^(){};]*,)?)\s*const (\w+Args)&', text):
            if m[3] in long:
                takers.setdefault(m[1], set()).add(m[2].count(','))
    for path, text in code.items():
        calls = []
        for m in re.finditer(r'\b(\w+)\s*\(', text):
            if m[1] in takers:
                begin = m.end()
                for place, part in enumerate(split_arguments(text[begin:end_of(text, begin - 1) - 1])):
                    begin = text.index(part, begin)
                    if place in takers[m[1]] and part.startswith('{') and end_of(part, 0) == len(part):
                        calls.append((begin, m[1]))
                    begin += len(part)
        calls += [(m.end() - 1, m[1]) for m in re.finditer(r'(?<!struct )\b(\w+Args)(?:\s+\w+)?\s*\{', text) if m[1] in long]
        for brace, name in calls:
            count = by_position(text, brace)
            if count > MOST_BY_POSITION:
                yield f'{path}:{line_of(text, brace)}: {name} gets {count} members by position; name them'


# Folder -> the folders whose options its own options embed.
OPTIONS_OF = {'nn': ['nn'], 'models': ['nn', 'models'], 'optim': ['optim'], 'config': ['nn', 'models', 'optim']}


def option_headers(sources):
    """A config is made of the options of the modules, so a header of options knows no module, and the config knows of the
    modules their options only."""
    for path, text in sources.items():
        if not path.startswith('trainer/'):
            continue
        folder = path.split('/')[1]
        is_options = path.endswith('options.h')
        for number, target in includes(text):
            if folder == 'setting':
                fine = target.startswith(('trainer/setting/', 'kernels/core/'))
            elif is_options or folder == 'config':
                of = target.split('/')[1]
                fine = not target.startswith('trainer/') or of == 'setting' or (folder == 'config' and of == 'config') or \
                    target.endswith('options.h') and (of in OPTIONS_OF.get(folder, ()))
            else:
                continue
            if not fine:
                yield f'{path}:{number}: only settings and the options of modules belong here, not {target}'
        if not is_options and folder not in ('config', 'setting') and 'visit(SettingList' in text:
            yield f'{path}:{line_of(text, text.index("visit(SettingList"))}: settings are named in a header of options'


# Enumerations of which one has all values of another, though they are no choice of the same thing.
SUBSETS = {frozenset(pair) for pair in [
    ('Axis', 'Group'), ('Axis', 'GradientSum'), ('Group', 'GradientSum'), ('Outcome', 'ExitCode'), ('Difference', 'Seen')]}


def equal_enumerations(sources):
    """An enumeration of the values of another is the same choice twice, with a table or a cast between the two."""
    known = {}
    for path, text in sources.items():
        code = without_text(text)
        for m in re.finditer(r'\benum\s+(?:class\s+|struct\s+)?(?:\[\[.*?\]\]\s*)?(\w*)\s*(?::\s*[\w:\s]+)?\{([^{}]*)\}', code):
            values = frozenset(part.partition('=')[0].strip() for part in m[2].split(',') if part.strip())
            here = f'{path}:{line_of(text, m.start())}'
            for others, (other, place) in known.items():
                if len(values) > 1 and values == others:
                    yield f'{here}: {m[1]} has the values of {other}, {place}; use one enumeration'
                elif min(len(values), len(others)) > 1 and (values < others or others < values) and \
                        frozenset((m[1], other)) not in SUBSETS:
                    yield f'{here}: {m[1]} and {other}, {place}, share all values of one of them; use one enumeration, or list them in SUBSETS'
            known.setdefault(values, (m[1], here))


def printing(sources):
    for path, text in sources.items():
        if path.startswith(('launch/', 'tests/')) or path in MAY_PRINT_OR_EXIT:
            continue
        for m in PRINTS_OR_EXITS.finditer(without_text(text)):
            yield f'{path}:{line_of(text, m.start())}: a library neither prints nor exits, but here is {m[0].strip("( ")}'


# An upper bound on a time that was measured: a difference of two times, or a member in seconds.
TIMED = re.compile(r'\b(?:EXPECT|ASSERT)_L[TE]\(\s*(?:[^;,]*\bnow(?:_s)?\(\)|[\w.>()-]*(?:_s|seconds)\s*,\s*[\d.])')


def timed_assertions(sources):
    """Upper bounds on times in tests. They fail on a busy machine: compare with a time of the same run instead, or let
    what must not wait hang forever if it does, so that CTest's limit ends it."""
    for path, text in sources.items():
        if path.startswith('tests/'):
            for match in TIMED.finditer(text):
                yield f'{path}:{line_of(text, match.start())}: a timed assertion, which a busy machine fails'


def british(sources):
    for path, text in sources.items():
        for m in WORD.finditer(text):
            if BRITISH.match(m[0]) and not AMERICAN.match(m[0]):
                yield f'{path}:{line_of(text, m.start())}: {m[0]} is not American spelling'
