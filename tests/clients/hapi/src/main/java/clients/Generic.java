package clients;

import static org.hl7.fhir.r4.model.Bundle.HTTPVerb.GET;
import static org.hl7.fhir.r4.model.Bundle.HTTPVerb.POST;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.model.api.Include;
import ca.uhn.fhir.rest.api.MethodOutcome;
import ca.uhn.fhir.rest.api.PreferReturnEnum;
import ca.uhn.fhir.rest.api.SearchStyleEnum;
import ca.uhn.fhir.rest.api.SearchTotalModeEnum;
import ca.uhn.fhir.rest.api.SummaryEnum;
import ca.uhn.fhir.rest.client.api.IGenericClient;
import ca.uhn.fhir.rest.gclient.ICriterion;
import ca.uhn.fhir.rest.gclient.IQuery;
import ca.uhn.fhir.rest.gclient.ReferenceClientParam;
import ca.uhn.fhir.rest.gclient.TokenClientParam;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.Callable;
import org.hl7.fhir.r4.model.Bundle;
import org.hl7.fhir.r4.model.Bundle.BundleEntryComponent;
import org.hl7.fhir.r4.model.Bundle.BundleType;
import org.hl7.fhir.r4.model.CapabilityStatement;
import org.hl7.fhir.r4.model.IdType;
import org.hl7.fhir.r4.model.Parameters;
import org.hl7.fhir.r4.model.Questionnaire;
import org.hl7.fhir.r4.model.QuestionnaireResponse;
import org.hl7.fhir.r4.model.QuestionnaireResponse.QuestionnaireResponseStatus;
import org.hl7.fhir.r4.model.Resource;
import org.hl7.fhir.r4.model.RiskAssessment;
import org.hl7.fhir.r4.model.ValueSet;

/**
 * HAPI's generic client, on every interaction that the service offers.
 *
 * <p>Argument: the FHIR base. Standard input: the bodies to send, as one JSON document.
 */
public final class Generic {
  private static final String FORM = "https://guidance.example.org/fhir/Questionnaire/muscle-twitching";
  private static final String RESPONSE = "QuestionnaireResponse";
  private static final FhirContext CONTEXT = FhirContext.forR4();

  private final Steps steps = new Steps(CONTEXT);
  private final JsonNode bodies;
  private final IGenericClient client;

  private Generic(String base) throws IOException {
    bodies = new ObjectMapper().readTree(System.in);
    client = CONTEXT.newRestfulGenericClient(base);
    client.registerInterceptor(steps);
  }

  public static void main(String[] arguments) throws IOException {
    Generic generic = new Generic(arguments[0]);
    generic.published();
    QuestionnaireResponse stored = generic.stored();
    generic.changed(stored);
    generic.searched(stored);
    generic.operated();
    generic.bundled(stored);
  }

  private void published() throws IOException {
    steps.step("read", () -> client.read().resource(Questionnaire.class).withId("muscle-twitching").execute());
    steps.step("read as JSON", () ->
        client.read().resource(Questionnaire.class).withId("muscle-twitching").encodedJson().execute());
    steps.step("read as XML", () ->
        client.read().resource(Questionnaire.class).withId("muscle-twitching").encodedXml().execute());
    steps.step("capabilities", () -> client.capabilities().ofType(CapabilityStatement.class).execute());
    steps.step("search by canonical", () ->
        search(Questionnaire.class).where(Questionnaire.URL.matches().value(FORM)).execute());
  }

  private QuestionnaireResponse stored() throws IOException {
    QuestionnaireResponse made =
        (QuestionnaireResponse) steps.step("create", created(() -> client.create().resource(body("first")).execute()));
    steps.step("create with return=minimal", () ->
        client.create().resource(body("second")).prefer(PreferReturnEnum.MINIMAL).execute().getId().getValue());
    for (String step : List.of("conditional create", "conditional create again")) {
      steps.step(step, created(() -> client.create().resource(body("conditional"))
          .withAdditionalHeader("If-None-Exist", "identifier=" + identifier("conditional")).execute()));
    }
    steps.step("conditional create as a whole url", created(() -> client.create().resource(body("undone"))
        .conditionalByUrl(RESPONSE + "?identifier=" + identifier("undone")).execute()));
    steps.step("what the whole url made", () ->
        search(QuestionnaireResponse.class).where(identified("undone")).execute());
    steps.step("vread", () ->
        client.read().resource(QuestionnaireResponse.class).withIdAndVersion(id(made), "1").execute());
    steps.step("read if changed", () -> client.read().resource(QuestionnaireResponse.class).withId(id(made))
        .ifVersionMatches("1").returnNull().execute());
    steps.step("read of an unknown id", () ->
        client.read().resource(QuestionnaireResponse.class).withId("no-such-id").execute());
    return made;
  }

  /** The id that a resource has brought along holds its version, which the client sends as If-Match. */
  private void changed(QuestionnaireResponse stored) throws IOException {
    stored.setStatus(QuestionnaireResponseStatus.AMENDED);
    steps.step("update", created(() -> client.update().resource(stored).execute()));
    steps.step("update of an old version", created(() -> client.update().resource(stored).execute()));
    steps.step("history", () -> client.history().onInstance(new IdType(RESPONSE, id(stored)))
        .returnBundle(Bundle.class).execute());
    steps.step("delete", () -> client.delete().resourceById(RESPONSE, id(stored)).execute().getId());
    steps.step("conditional update", created(() ->
        client.update().resource(body("conditional")).conditional().where(identified("conditional")).execute()));
  }

  private void searched(QuestionnaireResponse stored) throws IOException {
    String patient = stored.getSubject().getReference();
    steps.step("every page", () -> pages(of(patient).count(1)));
    steps.step("search by POST", () -> of(patient).usingStyle(SearchStyleEnum.POST).execute());
    steps.step("search by GET with _search", () -> of(patient).usingStyle(SearchStyleEnum.GET_WITH_SEARCH).execute());
    steps.step("search with the result", () -> of(patient).where(Resource.RES_ID.exactly().code(id(stored)))
        .revInclude(new Include("RiskAssessment:basis")).execute());
    steps.step("search by date", () -> of(patient).where(QuestionnaireResponse.AUTHORED.after().day("2026-01-01"))
        .sort().descending(QuestionnaireResponse.AUTHORED).execute());
    steps.step("search by basis", () -> search(RiskAssessment.class)
        .where(new ReferenceClientParam("basis").hasId(RESPONSE + "/" + id(stored))).execute());
    steps.step("search with a total of its own", () -> of(patient)
        .totalMode(SearchTotalModeEnum.ACCURATE).summaryMode(SummaryEnum.COUNT)
        .execute());
  }

  private void operated() throws IOException {
    steps.step("$validate", () -> client.validate().resource(body("first")).execute().getOperationOutcome());
    steps.step("$assess", () -> client.operation().onType(QuestionnaireResponse.class).named("$assess")
        .withParameters(named("questionnaire-response", body("first"))).returnResourceType(RiskAssessment.class).execute());
    steps.step("$expand", () -> client.operation().onInstance(new IdType("ValueSet", bodies.get("valueSet").asText()))
        .named("$expand").withNoParameters(Parameters.class).useHttpGet().returnResourceType(ValueSet.class).execute());
  }

  private void bundled(QuestionnaireResponse stored) throws IOException {
    BundleEntryComponent read = new BundleEntryComponent();
    read.getRequest().setMethod(GET).setUrl(RESPONSE + "/" + id(stored));
    steps.step("transaction", () -> client.transaction()
        .withBundle(bundle(BundleType.TRANSACTION, post(body("transacted")), read)).execute());
    steps.step("batch", () -> client.transaction()
        .withBundle(bundle(BundleType.BATCH, read, post(new QuestionnaireResponse()))).execute());
  }

  private IQuery<Bundle> search(Class<? extends Resource> kind) {
    return client.search().forResource(kind).returnBundle(Bundle.class);
  }

  private IQuery<Bundle> of(String patient) {
    return search(QuestionnaireResponse.class).where(QuestionnaireResponse.SUBJECT.hasId(patient));
  }

  private List<String> pages(IQuery<Bundle> asked) {
    List<String> ids = new ArrayList<>();
    Bundle page = asked.execute();
    page.getEntry().forEach(entry -> ids.add(entry.getResource().getIdElement().getIdPart()));
    while (page.getLink(Bundle.LINK_NEXT) != null) {
      page = client.loadPage().next(page).execute();
      page.getEntry().forEach(entry -> ids.add(entry.getResource().getIdElement().getIdPart()));
    }
    return ids;
  }

  private QuestionnaireResponse body(String name) {
    return CONTEXT.newJsonParser().parseResource(QuestionnaireResponse.class, bodies.get(name).toString());
  }

  private String identifier(String name) {
    JsonNode identifier = bodies.get(name).get("identifier");
    return identifier.get("system").asText() + "%7C" + identifier.get("value").asText();
  }

  private ICriterion<TokenClientParam> identified(String name) {
    JsonNode identifier = bodies.get(name).get("identifier");
    return QuestionnaireResponse.IDENTIFIER.exactly()
        .systemAndIdentifier(identifier.get("system").asText(), identifier.get("value").asText());
  }

  private static Callable<Resource> created(Callable<MethodOutcome> action) {
    return () -> (Resource) action.call().getResource();
  }

  private static Parameters named(String name, Resource resource) {
    Parameters parameters = new Parameters();
    parameters.addParameter().setName(name).setResource(resource);
    return parameters;
  }

  private static BundleEntryComponent post(Resource resource) {
    BundleEntryComponent entry = new BundleEntryComponent();
    entry.setFullUrl("urn:uuid:" + UUID.randomUUID()).setResource(resource);
    entry.getRequest().setMethod(POST).setUrl(RESPONSE);
    return entry;
  }

  private static Bundle bundle(BundleType type, BundleEntryComponent... entries) {
    Bundle bundle = new Bundle().setType(type);
    List.of(entries).forEach(bundle::addEntry);
    return bundle;
  }

  private static String id(Resource resource) {
    return resource.getIdElement().getIdPart();
  }
}
