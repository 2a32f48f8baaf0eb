"""Every kind of fault that this room reports: a stable code, its FHIR issue-type and what it means.

A code is never reused for another meaning. Severity is not in the table, because it depends on
the status of the response; see `severity.py`.

Source: http://hl7.org/fhir/R4/valueset-issue-type.html
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

KINDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # the response and its questionnaire
        "response-type": ("structure", "the resource is not a QuestionnaireResponse"),
        "response-status": ("code-invalid", "status is missing or not a code of QuestionnaireResponseStatus"),
        "canonical-missing": ("required", "the response names no Questionnaire"),
        "canonical-unknown": ("not-found", "the response names a Questionnaire that is not known here"),
        "canonical-mismatch": (
            "business-rule",
            "the response names another Questionnaire or another version",
        ),
        "canonical-unversioned": ("informational", "the response names the Questionnaire without a version"),
        "form-status": ("business-rule", "the Questionnaire is draft, retired or of unknown status"),
        "form-period": (
            "business-rule",
            "the response was written outside the effectivePeriod of the Questionnaire",
        ),
        # shape
        "too-costly": ("too-costly", "groups repeat so often that the response is not checked further"),
        "malformed": ("structure", "an element has another JSON type than FHIR gives it"),
        "link-id-missing": ("required", "an item carries no linkId"),
        "item-unknown": ("not-found", "the linkId is not in the Questionnaire"),
        "item-misplaced": ("structure", "the item stands under another parent than in the Questionnaire"),
        "item-order": ("structure", "items stand in another order than in the Questionnaire"),
        "item-repeated": (
            "structure",
            "an item that does not repeat, or a question, is there more than once",
        ),
        "item-text": ("informational", "the text of the item differs from the Questionnaire's"),
        "group-answer": ("structure", "a group carries an answer"),
        "display-answer": ("structure", "a display item carries an answer or items"),
        "item-nesting": (
            "structure",
            "items of a question stand beside its answer, or items of a group inside one",
        ),
        # answers
        "answer-empty": ("required", "an answer holds neither a value nor items"),
        "answer-several-values": ("structure", "an answer holds more than one value[x]"),
        "answer-type": ("structure", "the answer has another type than the question asks for"),
        "answer-format": ("value", "the value is not written as FHIR writes this type"),
        "answer-option": ("code-invalid", "the answer is not among the answers that the question permits"),
        "answer-duplicate": ("duplicate", "the same option is given twice"),
        "answer-exclusive": ("business-rule", "an exclusive option is given together with another answer"),
        "value-set-unreachable": ("not-supported", "the value set of the question cannot be expanded here"),
        "value-set-uncertain": (
            "not-supported",
            "the value set does not list its codes, so membership is not known",
        ),
        "required": ("required", "a required question or group has no answer"),
        "too-few": ("required", "fewer answers or occurrences than minOccurs"),
        "too-many": ("business-rule", "more answers or occurrences than the question or maxOccurs permits"),
        "disabled-item": ("business-rule", "an answer is given for an item that is not enabled"),
        # limits
        "too-long": ("too-long", "the text is longer than maxLength"),
        "too-short": ("value", "the text is shorter than minLength"),
        "below-minimum": ("value", "the value is below minValue or minQuantity"),
        "above-maximum": ("value", "the value is above maxValue or maxQuantity"),
        "not-comparable": ("value", "the unit or precision does not allow a comparison with the limit"),
        "decimal-places": ("value", "more decimal places than maxDecimalPlaces"),
        "pattern": ("value", "the text does not match the regular expression"),
        "pattern-time": ("timeout", "the regular expression took too long, so the text was not checked"),
        "unit-missing": ("value", "the quantity has no unit code although the question names its units"),
        "unit-option": ("code-invalid", "the unit is not one that the question permits"),
        "url-syntax": ("value", "the text is not a url, urn or uuid"),
        "reference-syntax": (
            "value",
            "the reference is neither relative, absolute, nor to a contained resource",
        ),
        "reference-type": (
            "value",
            "the reference leads to a type of resource that the question does not permit",
        ),
        "reference-contained": ("not-found", "the reference leads to a contained resource that is not there"),
        "attachment-type": ("value", "the attachment has another contentType than the question permits"),
        "attachment-type-missing": (
            "required",
            "the attachment carries data and no contentType, or none can be checked",
        ),
        "attachment-size": ("too-long", "the attachment is larger than maxSize"),
        "attachment-size-unknown": ("incomplete", "the size of the attachment cannot be seen"),
        "attachment-data": ("value", "the data of the attachment is not base64"),
        "attachment-size-mismatch": ("value", "size differs from the length of the data"),
        "attachment-hash-mismatch": ("value", "hash differs from the SHA-1 of the data"),
        # expressions
        "constraint": ("invariant", "a constraint of the Questionnaire is not satisfied"),
        "constraint-undecided": (
            "incomplete",
            "a constraint could not be decided, because answers are missing",
        ),
        "expression-failed": ("exception", "an expression of the Questionnaire failed on this response"),
        "expression-time": ("timeout", "the expressions of the Questionnaire took too long"),
        "expression-unavailable": ("not-supported", "an expression reads what a response does not carry"),
        "calculated-differs": ("business-rule", "the answer differs from the calculated value"),
        "calculated-missing": ("business-rule", "a calculated value is not in the response"),
        "initial-differs": ("business-rule", "a read-only answer differs from the initial value"),
        # the questionnaire itself
        "lint-shape": (
            "structure",
            "an element of the Questionnaire has another JSON type than FHIR gives it",
        ),
        "lint-identity": ("required", "url, version or status of the Questionnaire is missing or wrong"),
        "lint-link-id": ("required", "an item of the Questionnaire carries no linkId"),
        "lint-type": ("code-invalid", "the type of an item is missing or not a code of item-type"),
        "lint-deep": ("too-costly", "items are nested too deep"),
        "que-0": ("invariant", "name can be used as an identifier"),
        "que-1": ("invariant", "groups have items, display items have none"),
        "que-2": ("invariant", "linkIds are unique"),
        "que-3": ("invariant", "display items have no code"),
        "que-4": ("invariant", "a question has answerOption or answerValueSet, not both"),
        "que-5": ("invariant", "answerOption and answerValueSet only where the type permits"),
        "que-6": ("invariant", "display items are neither required nor repeating"),
        "que-7": ("invariant", "operator exists takes a boolean"),
        "que-8": ("invariant", "groups and display items have no initial value"),
        "que-9": ("invariant", "display items are not read-only"),
        "que-10": ("invariant", "maxLength only where the type permits"),
        "que-11": ("invariant", "initial only where there are no answerOptions"),
        "que-12": ("invariant", "enableBehavior is given where there are several enableWhen"),
        "que-13": ("invariant", "several initial values only where the question repeats"),
        "enable-when-unknown": ("not-found", "enableWhen names a question that is not there"),
        "enable-when-later": ("business-rule", "enableWhen names a question that comes later"),
        "enable-when-trigger": (
            "business-rule",
            "enableWhen names an item that cannot be answered, or itself",
        ),
        "enable-when-operator": ("code-invalid", "the operator is unknown or does not fit the type"),
        "enable-when-answer": ("value", "enableWhen expects an answer that the question cannot have"),
        "enable-when-cycle": ("business-rule", "enableWhen conditions depend on each other in a circle"),
        "enable-when-both": ("business-rule", "an item has both enableWhen and enableWhenExpression"),
        "option-code": ("required", "an option has no code or no value"),
        "option-duplicate": ("duplicate", "the same option is listed twice"),
        "option-type": ("business-rule", "an option has a type that the question does not permit"),
        "options-missing": ("business-rule", "a choice question has neither answerOption nor answerValueSet"),
        "weight-disagreement": ("business-rule", "itemWeight and an older weight extension disagree"),
        "limit-contradiction": ("business-rule", "limits that no answer can meet"),
        "limit-value": ("value", "a limit has a type that does not fit the item"),
        "occurs-required": (
            "business-rule",
            "minOccurs without required, or occurrences on an item that does not repeat",
        ),
        "pattern-invalid": ("value", "the regular expression of the Questionnaire cannot be used"),
        "expression-invalid": ("value", "an expression of the Questionnaire does not parse"),
        "expression-language": ("not-supported", "an expression is in a language that is not evaluated here"),
        "calculated-initial": ("business-rule", "an item has a calculatedExpression and an initial value"),
        # expansion
        "parameter-unsupported": ("not-supported", "the operation is asked for in a way that is not offered"),
        "expansion-size": ("too-costly", "the expansion of a value set is too long for one answer"),
    }
)
"""Kind to (FHIR issue-type code, meaning in one line)."""
