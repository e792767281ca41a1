import sys
import unittest


class T(unittest.TestCase):
    def test_good(self):
        self.assertEqual(1, 1)

    @unittest.skip("not now")
    def test_skipped(self):
        pass


if __name__ == "__main__":
    unittest.main(verbosity=0, exit=False, argv=["x"], testRunner=unittest.TextTestRunner(stream=open("log", "w"), descriptions=False))
    print(open("log").read().splitlines()[-1])
    unittest.main(argv=["x", "T.test_missing"], testRunner=unittest.TextTestRunner(stream=open("log", "w")))
