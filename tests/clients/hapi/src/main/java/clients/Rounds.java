package clients;

import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.ResultSeverityEnum;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Judges resources again and again, for benchmarks/validators.py.
 *
 * <p>Arguments: a folder of definitions, as {@link Validate} takes it. Each line of its input is a number of passes
 * and a folder of resources; the line that it prints then has the processor time of the whole process in
 * seconds, and the files that have an error.
 */
public final class Rounds {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final OperatingSystemMXBean PROCESS =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();


  /** What HAPI says of every quantity with a limit, because it compares none (tests/clients/test_hapi_validator.py). */
  private static final Set<String> OF_EVERY_QUANTITY =
      Set.of("QUESTIONNAIRE_QR_ITEM_DECIMAL_VALUE_EXCEPTION", "QUESTIONNAIRE_QR_ITEM_QUANTITY_MIN");

  private Rounds() {}

  public static void main(String[] arguments) throws IOException {
    FhirValidator validator = Validate.validator(Path.of(arguments[0]));
    Map<String, Map<String, String>> folders = new HashMap<>();
    BufferedReader asked = new BufferedReader(new InputStreamReader(System.in));
    for (String line = asked.readLine(); line != null; line = asked.readLine()) {
      String[] wanted = line.split(" ", 2);
      if (!folders.containsKey(wanted[1])) {
        folders.put(wanted[1], bodies(wanted[1]));
      }
      Map<String, String> bodies = folders.get(wanted[1]);
      List<String> faulty = List.of();
      long before = PROCESS.getProcessCpuTime();
      for (int pass = Integer.parseInt(wanted[0]); pass > 0; pass--) {
        faulty = bodies.keySet().stream().filter(name -> isFaulty(validator, bodies.get(name))).toList();
      }
      double seconds = (PROCESS.getProcessCpuTime() - before) / 1e9;
      System.out.println(JSON.writeValueAsString(Map.of("seconds", seconds, "faulty", faulty)));
    }
  }

  private static Map<String, String> bodies(String folder) throws IOException {
    Map<String, String> bodies = new LinkedHashMap<>();
    for (Path file : Validate.files(Path.of(folder))) {
      bodies.put(file.getFileName().toString(), Files.readString(file));
    }
    return bodies;
  }

  private static boolean isFaulty(FhirValidator validator, String body) {
    try {
      return hasErrors(validator, body);
    } catch (RuntimeException unreadable) { // a value of another type ends its parser, in one way or another
      return true;
    }
  }

  private static boolean hasErrors(FhirValidator validator, String body) {
    return validator.validateWithResult(body).getMessages().stream()
        .filter(found -> !OF_EVERY_QUANTITY.contains(String.valueOf(found.getMessageId())))
        .anyMatch(found -> found.getSeverity().compareTo(ResultSeverityEnum.ERROR) >= 0);
  }
}
