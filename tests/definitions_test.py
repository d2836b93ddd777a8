#!/usr/bin/env python3
"""Tests the scanner of tests/definitions.py on planted sources: which pairs it refuses and which it allows."""
import unittest

from definitions import definitions, duplicates


def clashes(first, second, namespace='birkhoff'):
    """What duplicates() reports for two files, the first named a.h, the second b.cc."""
    def wrap(code):
        return '// A file.\n#include <vector>\nnamespace %s {\n\n%s\n}  // namespace\n' % (namespace, code)
    found = definitions(wrap(first), 'a.h') + definitions(wrap(second), 'b.cc')
    return list(duplicates(found))


class Definitions(unittest.TestCase):
    def refused(self, first, second, name, **where):
        found = clashes(first, second, **where)
        self.assertEqual(len(found), 1, found)
        self.assertIn(f'b.cc:5: {name} is also defined at a.h:5', found[0])

    def allowed(self, first, second):
        self.assertEqual(clashes(first, second), [])

    def test_types_of_one_name_are_refused(self):
        piece = 'struct Piece {\n  int64_t begin = 0;\n};'
        self.refused(piece, 'struct Piece {\n  std::string name{"a"};\n};', 'birkhoff::Piece')
        self.refused(piece, 'class Piece final : public Base<int> {\n};', 'birkhoff::Piece')
        self.refused(piece, 'enum class Piece : uint8_t { one, two };', 'birkhoff::Piece')
        self.refused(piece, 'union Piece { int a; };', 'birkhoff::Piece')
        self.refused(piece, 'using Piece = std::vector<int>;', 'birkhoff::Piece')
        self.refused('template <class T>\nstruct Box {};'.replace('\n', ' '), 'template <class T> class Box {};', 'birkhoff::Box')
        self.refused('struct Box<int> {};', 'struct Box<int> {};', 'birkhoff::Box<int>')
        self.refused(piece, 'struct [[nodiscard]] Piece { int a; };', 'birkhoff::Piece')
        self.refused(piece, 'class alignas(64) __attribute__((packed)) Piece { int a; };', 'birkhoff::Piece')
        self.refused(piece, 'typedef std::vector<int> Piece;', 'birkhoff::Piece')

    def test_inner_namespaces_count_by_their_whole_name(self):
        self.refused('struct Task {};', 'struct Task {};', 'birkhoff::cpu::Task', namespace='birkhoff::cpu')
        self.refused('namespace cpu { struct Task {}; }', 'namespace cpu { struct Task {}; }', 'birkhoff::cpu::Task')
        self.refused('namespace [[deprecated]] cpu { struct Task {}; }', 'namespace cpu { struct Task {}; }', 'birkhoff::cpu::Task')
        self.allowed('namespace cpu { struct Task {}; }', 'namespace reference { struct Task {}; }')

    def test_functions_of_equal_parameters_are_refused(self):
        self.refused('inline int size(const Tensor& a, int64_t n = f(1, 2)) { return 1; }',
                     'int size(const Tensor& b, int64_t) { return 2; }', 'birkhoff::size(const Tensor&,int64_t)')
        self.refused('template <class T> T least(T a) { return a; }', 'template <class U> auto least(T b) { return b; }',
                     'birkhoff::least(T)')
        self.refused('inline bool operator==(const A& a, const A& b) { return true; }',
                     'bool operator==(const A& x, const A& y) { return false; }', 'birkhoff::operator==(const A&,const A&)')
        self.refused('int size(const int a, A const& b) { return 1; }', 'int size(int c, const A& d) { return 2; }',
                     'birkhoff::size(int,const A&)')
        self.refused('inline void A::run() { go(); }', 'void A::run() { stop(); }', 'birkhoff::A::run()')

    def test_constants_are_refused(self):
        self.refused('inline constexpr int kMax = 1;', 'constexpr int64_t kMax = 2;', 'birkhoff::kMax')
        self.refused('inline constexpr int kNames[] = {1, 2};', 'std::atomic<bool> kNames{false};', 'birkhoff::kNames')
        self.refused('template <class T> concept Number = true;', 'template <class T> concept Number = false;', 'birkhoff::Number')

    def test_what_is_no_second_definition_is_allowed(self):
        self.allowed('struct Piece;\nint size(Piece);\nextern int count;', 'struct Piece {};\nint size(Piece) { return 1; }')
        self.allowed('int size(A a) { return 1; }', 'int size(B b) { return 1; }')
        self.allowed('struct A { struct Inner {}; };', 'struct B { struct Inner {}; };')
        self.allowed('struct Box<int> {};', 'struct Box<float> {};')
        self.allowed('void f() { struct Piece {}; }', 'void g() { struct Piece {}; }')

    def test_members_that_a_constructor_initializes_are_no_functions(self):
        self.allowed('A::A(int b) : a_{b, 1}, slot_(b.slot<Saved>()) {}', 'B::B(int b) : a_{b}, slot_(b.slot<Saved>()) { go(); }')
        self.refused('A::A(int b) : a_{b}, c_{b} {}', 'A::A(int d) : c_{d}, a_(d) {}', 'birkhoff::A::A(int)')

    def test_names_of_one_file_are_allowed(self):
        self.allowed('namespace { struct Piece {}; }', 'namespace {\nstruct Piece {};\n}  // namespace')
        self.allowed('static int size(A) { return 1; }', 'static int size(A) { return 2; }')
        self.allowed('struct Piece {};\n', 'namespace { struct Piece {}; }')
        self.allowed('#ifdef X\nconstexpr int kMax = 1;\n#else\nconstexpr int kMax = 2;\n#endif', '')

    def test_text_and_comments_define_nothing(self):
        self.allowed('struct Piece {};', '// struct Piece {};\n/* struct Piece {\n}; */')
        self.allowed('struct Piece {};', 'const char* text() { return "} struct Piece {}; {"; }\nchar c() { return \'{\'; }')
        self.allowed('struct Piece {};', 'auto raw = R"(} struct Piece {};)";\n#define PIECE struct Piece \\\n {};')


if __name__ == '__main__':
    unittest.main()
