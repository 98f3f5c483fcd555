"""Install a package and translate the lines on stdin (a list in JSON) with Argos Translate; run by its Python.

Without a network: its models that find the ends of sentences would be downloaded, so that every line is one sentence.
"""

import json
import socket
import sys
from typing import Any


def refuse(*_: Any) -> None:
    raise OSError("this test is offline")


if __name__ == "__main__":
    socket.socket.connect = refuse  # type: ignore[method-assign]
    from argostranslate import package, sbd, translate

    sbd.MiniSBDSentencizer.split_sentences = lambda self, text: [text]
    package.install_from_path(sys.argv[1])
    (installed,) = package.get_installed_packages()
    answers = [translate.translate(line, installed.from_code, installed.to_code) for line in json.load(sys.stdin)]
    names = [installed.from_name, installed.to_name]
    print(json.dumps({"names": names, "translations": answers, "readme": installed.get_readme()}))
