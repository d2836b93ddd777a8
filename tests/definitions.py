"""What the sources define at namespace scope, and which names they define twice.

Two definitions of one name in one program break the one-definition rule: the linker keeps either of them, and a caller of
the other works on memory of the wrong layout. No compiler can notice this, since each translation unit is correct by itself.
So every name of a namespace is defined once: types, enumerations, aliases, constants, and functions with equal parameters.
Names in an anonymous namespace and static functions belong to their file.
"""
import collections
import dataclasses
import re

SPACES = re.compile(r'\s+')


@dataclasses.dataclass(frozen=True)
class Definition:
    name: str  # 'birkhoff::cpu::Task', 'birkhoff::bound(DType,int64_t)', 'birkhoff::kernels<avx2>()'
    file: str
    line: int


def without_text(code):
    """The code with comments, literals and preprocessor lines blanked, every line in its place."""
    def blank(match):
        return '""' if match[0][0] in '"R' else '0' if match[0][0] == "'" else re.sub(r'[^\n]', ' ', match[0])
    code = re.sub(r'R"(\w*)\((?:.|\n)*?\)\1"|//[^\n]*|/\*(?:.|\n)*?\*/|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])+\'',
                  lambda m: blank(m) + '\n' * (m[0].count('\n') if m[0][0] == 'R' else 0), code)
    return re.sub(r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', lambda m: re.sub(r'[^\n]', ' ', m[0]), code, flags=re.M)


def end_of(code, at):
    """The index after the bracket that closes the one at `at`."""
    pairs = {'{': '}', '(': ')', '[': ']'}
    depth, opening, closing = 0, code[at], pairs[code[at]]
    for i in range(at, len(code)):
        depth += (code[i] == opening) - (code[i] == closing)
        if depth == 0:
            return i + 1
    return len(code)


def statements(code):
    """(offset, head, body or None) of every declaration of a scope. The head is the text before its braces."""
    start = at = 0
    while at < len(code):
        if code[at] == '{':
            end = end_of(code, at)
            yield start, code[start:at], (at + 1, end - 1)
            start = at = end
        elif code[at] in '([':
            at = end_of(code, at)
        elif code[at] == ';':
            yield start, code[start:at], None
            start = at = at + 1
        else:
            at += 1


def without_template(head):
    """The head without attributes and 'template <...>', whose arguments may contain angle brackets too."""
    head = SPACES.sub(' ', re.sub(r'\[\[.*?\]\]', ' ', head)).strip()
    while head.startswith('template'):
        depth = 0
        for i, c in enumerate(head):
            depth += (c == '<') - (c == '>')
            if c == '>' and depth == 0:
                break
        head = head[i + 1:].strip()
    return head


def top_level(text, separator=','):
    """The parts of a list. Separators within brackets do not count."""
    parts, depth = [''], 0
    for c in text:
        depth += (c in '<({[') - (c in '>)}]')
        if c == separator and depth == 0:
            parts.append('')
        else:
            parts[-1] += c
    return parts


def type_of_parameter(parameter):
    """The type of a parameter, without its name and default value."""
    parameter = top_level(parameter, '=')[0].strip()
    named = re.fullmatch(r'(.*[\w>&*.]\s*[\s&*>.])(\w+)((?:\[\w*\])*)', parameter, re.S)
    if named and not re.fullmatch(r'(const|unsigned|long|struct)\s+', named[1]):
        parameter = named[1] + named[3]
    parameter = re.sub(r'\s*([&*<>,:])\s*', r'\1', SPACES.sub(' ', parameter)).strip()
    parameter = re.sub(r'^([\w:]+(?:<.*>)?) const\b', r'const \1', parameter)
    by_value = not re.search(r'[&*]', re.sub(r'<.*>', '', parameter))
    return parameter.removeprefix('const ') if by_value else parameter  # const of a value is not part of the type


def function(head):
    """'name(types)' if the head is that of a function with external linkage, otherwise None."""
    match = re.search(r'((?:[\w:]+(?:<[^()]*>)?::)?(?:operator\s*[^\s\w(]+|operator\s*\(\)|~?\w+))(<[^()]*>)?\s*\(', head)
    if not match or re.match(r'(static|friend)\b', head):
        return None
    name, arguments, opening = match[1], match[2] or '', match.end() - 1
    if not head[:match.start()].strip() and '::' not in name:
        return None  # a macro, such as TEST(A, B): no return type
    end = end_of(head, opening)
    parameters = [type_of_parameter(p) for p in top_level(head[opening + 1:end - 1])] if head[opening + 1:end - 1].strip() else []
    const = ' const' if re.match(r'\s*const\b', head[end:]) else ''
    return SPACES.sub('', name + arguments) + '(' + ','.join(parameters) + ')' + const


def name_of(head, has_body):
    """The name that a declaration defines, or None."""
    head = without_template(SPACES.sub(' ', head).strip())
    if head.startswith(','):
        return None  # the rest of a constructor, after a member that it initializes with braces
    kind = re.match(r'(?:class|struct|union|enum(?: class| struct)?) '
                    r'(?:(?:alignas|__attribute__) ?\((?:[^()]|\([^()]*\))*\) )*([\w:]+(?:<[^{]*>)?)(?: final)?(?: ?:[^:].*)?$', head)
    if kind:
        return kind[1].replace(' ', '') if has_body else None
    for pattern in (r'using (\w+) ?=', r'concept (\w+) ?=', r'typedef [^()]*[\w>&* ][\s&*](\w+)$'):
        if match := re.match(pattern, head):
            return match[1]
    if re.match(r'(using|typedef|static_assert|extern|friend|namespace)\b', head):
        return None
    before_value = head if re.search(r'\boperator\b', head) else top_level(head, '=')[0]
    if '(' not in before_value:
        variable = re.search(r'[\w>&*] ?(\w[\w:]*)(?:\[[^\]]*\])* ?$', before_value)
        constant = re.search(r'\b(inline|const|constexpr|constinit|thread_local)\b', before_value) or '=' in head or has_body
        return variable[1] if variable and constant and not re.search(r'\bstatic\b', before_value) else None
    return function(head) if has_body or re.search(r'\) ?= ?default$', head) else None


def inner_definitions(code, file, namespace, first_line):
    for start, head, body in statements(code):
        head = re.sub(r'\[\[.*?\]\]', ' ', head)
        words = SPACES.sub(' ', head).strip()
        line = first_line + code.count('\n', 0, start + len(head) - len(head.lstrip()))
        scope = re.fullmatch(r'(?:inline )?namespace(?: ([\w:]+))?|extern ""', words)
        if scope and body:
            if scope[1] or words == 'extern ""':
                inner = f'{namespace}{scope[1]}::' if scope[1] else namespace
                yield from inner_definitions(code[body[0]:body[1]], file, inner, first_line + code.count('\n', 0, body[0]))
            continue
        name = name_of(head, body is not None)
        if name and name.split('(')[0] != 'main':
            yield Definition(namespace + name, file, line)


def definitions(code, file):
    """All definitions of a source; anonymous namespaces, classes and functions are not entered."""
    return list(inner_definitions(without_text(code), file, '', 1))


def duplicates(found):
    """One line for each definition of a name that another file has defined before. Two definitions in one file are
    alternatives under #if, since the compiler would report any others."""
    places = collections.defaultdict(list)
    for definition in found:
        places[definition.name].append(definition)
    for name, all_of_name in sorted(places.items()):
        first = all_of_name[0]
        for other in (d for d in all_of_name[1:] if d.file != first.file):
            yield f'{other.file}:{other.line}: {name} is also defined at {first.file}:{first.line}; rename one of them'
