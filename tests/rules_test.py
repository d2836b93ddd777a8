#!/usr/bin/env python3
"""The rules of tests/rules.py on planted sources: what they refuse, and what they let stand."""
import unittest

import rules


class Rules(unittest.TestCase):
    def refused(self, rule, sources, *parts):
        found = list(rule(sources))
        self.assertEqual(len(found), 1, found)
        for part in parts:
            self.assertIn(part, found[0])

    def allowed(self, rule, sources):
        self.assertEqual(list(rule(sources)), [])

    def test_folders_that_include_one_another(self):
        a, b, c = '#include "kernels/b/x.h"\n', '#include "kernels/b/deep/x.h"\n', '#include "kernels/a/x.h"\n'
        self.allowed(rules.circles, {'kernels/a/x.h': a, 'kernels/b/x.cc': b})
        for back in ('kernels/b/deep/x.cc', 'kernels/b/y.cc'):
            found = list(rules.circles({'kernels/a/x.h': a, 'kernels/b/x.h': b, back: '// A file.\n' + c}))
            self.assertTrue(any(f'{back}:2: includes kernels/a/x.h' in line for line in found), found)
        self.allowed(rules.circles, {'kernels/a/x.h': '#include "kernels/a/y.h"\n', 'kernels/a/y.h': c})
        self.refused(lambda s: [line for line in rules.circles(s) if line.startswith('kernels/a/deep')],
                     {'kernels/a/x.h': '#include "kernels/a/deep/y.h"\n', 'kernels/a/deep/y.h': c}, 'leads back to kernels/a/deep/')

    def test_args_by_position(self):
        header = 'struct RopeArgs {\n  Tensor y, x, p, t;\n  int64_t o, l;\n};\nvoid rope(Stream& stream, const RopeArgs& args);\n'
        self.refused(rules.args_by_position, {'a.h': header, 'b.cc': 'void f() {\n  rope(s, {a, b, g(1, 2), d, {e}, f});\n}\n'},
                     'b.cc:2: rope gets 6 members by position')
        self.refused(rules.args_by_position, {'a.h': header, 'b.cc': 'const RopeArgs r{a, b, c, d, e, f};\n'}, 'RopeArgs gets 6')
        self.allowed(rules.args_by_position, {'a.h': header, 'b.cc': 'rope(s, {a, b, c, d, e});\n'})
        self.allowed(rules.args_by_position, {'a.h': header, 'b.cc': 'rope(s, {.y = a, .x = b, .p = c, .t = d, .o = 1, .l = 2});\n'})
        self.allowed(rules.args_by_position, {'a.h': header, 'b.cc': 'other(s, {a, b, c, d, e, f});\n'})
        self.allowed(rules.args_by_position, {'a.h': header, 'b.cc': 'rope({a, b, c, d, e, f}, {a, b});\n'})
        short = 'struct AddArgs {\n  Tensor y, a, b;\n};\nvoid add(Stream& stream, const AddArgs& args);\n'
        self.allowed(rules.args_by_position, {'a.h': short, 'b.cc': 'add(s, {a, b, c, d, e, f});\n'})

    def test_timed_assertions(self):
        for timed in ('EXPECT_LT(report->blocked_s, 0.15);', 'ASSERT_LE(o.seconds, 3);', 'EXPECT_LT(now_s() - began, kMost);',
                      'EXPECT_LT(std::chrono::steady_clock::now() - start,\n          std::chrono::seconds(5));'):
            self.refused(rules.timed_assertions, {'tests/a_test.cc': 'void f() {\n  ' + timed + '\n}\n'}, 'a_test.cc:2: a timed')
        for other in ('EXPECT_LE(report->blocked_s, waited);', 'EXPECT_GT(report->write_s, 0.19);', 'EXPECT_LT(loss, 5);',
                      'EXPECT_LT(o.seconds, kLongest_s);'):
            self.allowed(rules.timed_assertions, {'tests/a_test.cc': other})

    def test_headers_of_options(self):
        for path, target in (('trainer/config/a.cc', 'trainer/nn/moe.h'), ('trainer/nn/moe_options.h', 'trainer/nn/moe.h'),
                             ('trainer/optim/options.h', 'trainer/config/config.h'), ('trainer/nn/moe_options.h', 'trainer/optim/options.h'),
                             ('trainer/optim/options.h', 'trainer/models/decoder_options.h'), ('trainer/setting/setting.h', 'data/loader/loader.h'),
                             ('trainer/setting/setting.h', 'trainer/nn/moe_options.h')):
            self.refused(rules.option_headers, {path: f'#include "{target}"\n'}, f'{path}:1', target)
        for path, target in (('trainer/config/config.h', 'trainer/nn/moe_options.h'), ('trainer/nn/moe_options.h', 'trainer/setting/setting.h'),
                             ('trainer/nn/moe_options.h', 'kernels/moe/router.h'), ('trainer/step/build.h', 'trainer/config/config.h')):
            self.allowed(rules.option_headers, {path: f'#include "{target}"\n'})

    def test_enumerations_of_equal_values(self):
        first = 'enum class Policy { fail, skip };\n'
        self.refused(rules.equal_enumerations, {'a.h': first, 'b.h': '\nenum class Bad : uint8_t {\n  skip,  // one\n  fail = 3,\n};\n'},
                     'b.h:2: Bad has the values of Policy, a.h:1')
        self.refused(rules.equal_enumerations, {'a.h': first + 'struct A {\n  enum Kind { fail, skip } kind;\n};\n'}, 'a.h:3: Kind')
        self.refused(rules.equal_enumerations, {'a.h': first + 'enum class [[nodiscard]] More : unsigned char { fail, skip, ask };\n'},
                     'a.h:2: More and Policy', 'SUBSETS')
        self.allowed(rules.equal_enumerations, {'a.h': first + '// enum class Other { fail, skip };\nenum class More { fail, ask };\n'})
        self.allowed(rules.equal_enumerations, {'a.h': 'enum class Axis { tp, dp };\nenum class Group { tp, dp, world };\n'})

    def test_printing_and_exiting_libraries(self):
        for code in ('std::cout << 1;', 'std::printf("a");', 'fprintf(stderr, "a");', 'fputs(t, f);', 'std::exit(1);', '::_exit(1);',
                     'std::_Exit(2);', 'std::abort();', 'perror("a");', 'write(STDERR_FILENO, t, 1);', 'leave = std::_Exit;'):
            self.refused(rules.printing, {'trainer/run/a.cc': f'void f() {{\n  {code}\n}}\n'}, 'trainer/run/a.cc:2')
            self.allowed(rules.printing, {'launch/a.cc': code})
        for code in ('std::snprintf(t, 9, "a");', 'world.abort(why, 4);', 'void abort(const std::string& why);', '// exit(1)',
                     'end.print("printf(");', 'out << 1;'):
            self.allowed(rules.printing, {'trainer/run/a.cc': code})

    def test_british_spelling(self):
        for word in ('normalise', 'initialise_all', 'Normalised', 'kNeighbour', 'behaviour', 'towards', 'licence', 'the centre of',
                     'quantisation', 'cancelled', 'parameter_initialiser', 'Orthogonalised', 'OfColours'):
            self.refused(rules.british, {'a.md': f'\n{word} it\n'}, 'a.md:2')
        for word in ('normalize', 'size', 'promise', 'raise', 'otherwise', 'hour', 'four', 'your', 'analysis', 'rise', 'exercise',
                     'noise', 'precise', 'finalist', 'centered', 'license', 'minimum', 'optimistic', 'localism', 'called', 'filled'):
            self.allowed(rules.british, {'a.md': word})


if __name__ == '__main__':
    unittest.main()
