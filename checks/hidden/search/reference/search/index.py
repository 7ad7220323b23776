from search.words import words


class Index:
    def __init__(self):
        self._words = {}

    def add(self, name, text):
        self._words[name] = set(words(text))

    def remove(self, name):
        del self._words[name]

    def names(self):
        return set(self._words)

    def documents(self, word):
        return {name for name, known in self._words.items() if word.lower() in known}
