package clients;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.SingleValidationMessage;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.Questionnaire;

/**
 * Prints what HAPI's instance validator says of resources, each issue as one line of JSON.
 *
 * <p>Arguments: a folder of definitions (what the service publishes), which are known while judging, and a folder
 * of resources. What it prints: file, severity, id of the message, location, message. The last line counts files.
 */
public final class Validate {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final FhirContext CONTEXT = FhirContext.forR4();

  private Validate() {}

  public static void main(String[] arguments) throws IOException {
    FhirValidator validator = validator(Path.of(arguments[0]));
    List<Path> files = files(Path.of(arguments[1]));
    for (Path file : files) {
      for (SingleValidationMessage found : validator.validateWithResult(Files.readString(file)).getMessages()) {
        System.out.println(JSON.writeValueAsString(line(file, found)));
      }
    }
    System.out.println(JSON.writeValueAsString(Map.of("judged", files.size())));
  }

  static FhirValidator validator(Path definitions) throws IOException {
    Published own = new Published(CONTEXT);
    for (Path file : files(definitions)) {
      own.addResource(CONTEXT.newJsonParser().parseResource(Files.readString(file)));
    }
    ValidationSupportChain known = new ValidationSupportChain(
        new DefaultProfileValidationSupport(CONTEXT),
        own,
        new CommonCodeSystemsTerminologyService(CONTEXT),
        new InMemoryTerminologyServerValidationSupport(CONTEXT),
        new SnapshotGeneratingValidationSupport(CONTEXT));
    FhirInstanceValidator instances = new FhirInstanceValidator(known);
    instances.setAnyExtensionsAllowed(false);
    return CONTEXT.newValidator().registerValidatorModule(instances);
  }

  /** What the service publishes. HAPI's own holds no Questionnaires, so that answers would not be judged by them. */
  private static final class Published extends PrePopulatedValidationSupport {
    private final Map<String, Questionnaire> forms = new HashMap<>();

    Published(FhirContext context) {
      super(context);
    }

    @Override
    public void addResource(IBaseResource resource) {
      if (resource instanceof Questionnaire form) {
        forms.put(form.getUrl(), form);
        forms.put(form.getUrl() + "|" + form.getVersion(), form);
      } else {
        super.addResource(resource);
      }
    }

    @Override
    public <T extends IBaseResource> T fetchResource(Class<T> kind, String canonical) {
      Questionnaire form = forms.get(canonical);
      return kind.isInstance(form) ? kind.cast(form) : super.fetchResource(kind, canonical);
    }
  }

  static List<Path> files(Path folder) throws IOException {
    try (Stream<Path> found = Files.list(folder)) {
      return found.filter(file -> file.toString().endsWith(".json")).sorted().toList();
    }
  }

  private static Map<String, String> line(Path file, SingleValidationMessage found) {
    Map<String, String> line = new LinkedHashMap<>();
    line.put("file", file.getFileName().toString());
    line.put("severity", String.valueOf(found.getSeverity().getCode()));
    line.put("id", String.valueOf(found.getMessageId()));
    line.put("location", String.valueOf(found.getLocationString()));
    line.put("message", String.valueOf(found.getMessage()));
    return line;
  }
}
