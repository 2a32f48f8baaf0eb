"""Pages for people: forms made of Questionnaires, and their results; knows no SQL, no rules, no clinic."""
