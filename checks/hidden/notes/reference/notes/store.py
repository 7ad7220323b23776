class Store:
    def __init__(self):
        self._notes, self._last = {}, 0

    def add(self, text):
        if not isinstance(text, str) or not text.strip():
            raise ValueError("a note needs a text")
        self._last += 1
        self._notes[self._last] = text
        return self._last

    def get(self, id):
        return self._notes[id]

    def delete(self, id):
        del self._notes[id]

    def all(self):
        return dict(self._notes)
