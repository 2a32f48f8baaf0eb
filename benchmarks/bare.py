"""The yardstick of benchmarks/http.py: Flask as its manual shows it, returning what it was sent."""

from flask import Flask, Response, request

app = Flask(__name__)


@app.post("/fhir/QuestionnaireResponse/$assess")
def echo() -> Response:
    return Response(request.get_data(), content_type="application/fhir+json")
