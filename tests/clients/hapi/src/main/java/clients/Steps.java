package clients;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.rest.client.api.IClientInterceptor;
import ca.uhn.fhir.rest.client.api.IHttpRequest;
import ca.uhn.fhir.rest.client.api.IHttpResponse;
import ca.uhn.fhir.rest.server.exceptions.BaseServerResponseException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.hl7.fhir.instance.model.api.IBaseResource;

/** Runs interactions one after the other and prints what came of each, as npm/steps.mjs does. */
final class Steps implements IClientInterceptor {
  private final ObjectMapper json = new ObjectMapper();
  private final FhirContext context;
  private ArrayNode sent = json.createArrayNode();

  Steps(FhirContext context) {
    this.context = context;
  }

  @Override
  public void interceptRequest(IHttpRequest request) {
    ObjectNode entry = sent.addObject();
    entry.put("method", request.getHttpVerbName()).put("path", request.getUri());
    entry.set("headers", headers(request.getAllHeaders()));
  }

  @Override
  public void interceptResponse(IHttpResponse response) {
    ObjectNode entry = (ObjectNode) sent.get(sent.size() - 1);
    entry.put("status", response.getStatus()).set("answer", headers(response.getAllHeaders()));
  }

  /** Runs one interaction and returns its result; null where the client threw. */
  <T> T step(String name, Callable<T> action) throws IOException {
    sent = json.createArrayNode();
    ObjectNode line = json.createObjectNode().put("step", name);
    T result = null;
    try {
      result = action.call();
      line.set("result", result instanceof IBaseResource resource ? written(resource) : json.valueToTree(result));
    } catch (Exception error) {
      ObjectNode refusal = line.putObject("error").put("message", String.valueOf(error));
      if (error instanceof BaseServerResponseException answer && answer.getOperationOutcome() != null) {
        refusal.put("status", answer.getStatusCode()).set("body", written(answer.getOperationOutcome()));
      }
    }
    System.out.println(json.writeValueAsString(line.set("sent", sent)));
    return result;
  }

  private com.fasterxml.jackson.databind.JsonNode written(IBaseResource resource) throws IOException {
    return json.readTree(context.newJsonParser().encodeResourceToString(resource));
  }

  private ObjectNode headers(Map<String, List<String>> all) {
    ObjectNode headers = json.createObjectNode();
    all.forEach((name, values) -> headers.put(name.toLowerCase(Locale.ROOT), String.join(", ", values)));
    return headers;
  }
}
