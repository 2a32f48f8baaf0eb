package clients;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.parser.StrictErrorHandler;
import ca.uhn.fhir.serializer.FhirResourceDeserializer;
import ca.uhn.fhir.serializer.FhirResourceSerializer;
import ca.uhn.hapi.fhir.cdshooks.api.json.CdsServiceResponseJson;
import ca.uhn.hapi.fhir.cdshooks.api.json.CdsServicesJson;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.module.SimpleModule;
import java.io.IOException;
import org.hl7.fhir.instance.model.api.IBaseResource;

/**
 * Reads what the service answers to CDS clients into HAPI's models, and prints what these hold, a line of JSON each:
 * the services first, then each answer to a call.
 *
 * <p>The mapper is made as HAPI makes its own, which leaves unknown members; resources are read by HAPI's strict
 * parser of R4.
 */
public final class CdsHooks {
  private CdsHooks() {}

  public static void main(String[] arguments) throws IOException {
    ObjectMapper json = mapper(FhirContext.forR4());
    JsonNode sent = json.readTree(System.in);
    print(json, json.treeToValue(sent.get("services"), CdsServicesJson.class));
    for (JsonNode answer : sent.get("answers")) {
      print(json, json.treeToValue(answer, CdsServiceResponseJson.class));
    }
  }

  /** Prints one line: HAPI writes resources on several. */
  private static void print(ObjectMapper json, Object read) throws IOException {
    System.out.println(json.readTree(json.writeValueAsString(read)));
  }

  private static ObjectMapper mapper(FhirContext context) {
    context.setParserErrorHandler(new StrictErrorHandler());
    SimpleModule resources = new SimpleModule();
    resources.addSerializer(new FhirResourceSerializer(context));
    resources.addDeserializer(IBaseResource.class, new FhirResourceDeserializer(context));
    return new ObjectMapper()
        .configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false)
        .registerModule(resources);
  }
}
