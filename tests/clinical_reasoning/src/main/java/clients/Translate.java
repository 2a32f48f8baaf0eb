package clients;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.cqframework.cql.cql2elm.CqlCompilerException;
import org.cqframework.cql.cql2elm.CqlCompilerOptions;
import org.cqframework.cql.cql2elm.CqlTranslator;
import org.cqframework.cql.cql2elm.DefaultLibrarySourceProvider;
import org.cqframework.cql.cql2elm.LibraryBuilder;
import org.cqframework.cql.cql2elm.LibraryManager;
import org.cqframework.cql.cql2elm.ModelManager;
import org.cqframework.cql.cql2elm.model.CompiledLibrary;
import org.hl7.elm.r1.VersionedIdentifier;

/**
 * Translates libraries from CQL to ELM, and writes each beside its source. Arguments: a folder, a library and
 * its version, any number of times; what it includes stands in the same folder. What the translator says of
 * any of them goes to the output, a line each.
 */
public final class Translate {
    private Translate() {}

    public static void main(String[] arguments) throws IOException {
        ModelManager models = new ModelManager();
        for (int at = 0; at < arguments.length; at += 3) {
            translate(models, Path.of(arguments[at]), arguments[at + 1], arguments[at + 2]);
        }
    }

    private static void translate(ModelManager models, Path folder, String name, String version) throws IOException {
        CqlCompilerOptions options = new CqlCompilerOptions();
        options.setSignatureLevel(LibraryBuilder.SignatureLevel.None);
        LibraryManager libraries = new LibraryManager(models, options);
        libraries.getLibrarySourceLoader().registerProvider(new DefaultLibrarySourceProvider(folder));
        List<CqlCompilerException> said = new ArrayList<>();
        libraries.resolveLibrary(new VersionedIdentifier().withId(name).withVersion(version), said);
        for (CqlCompilerException one : said) {
            String place = one.getLocator() == null ? "" : " " + one.getLocator().toLocator();
            System.out.println(name + place + ": " + one.getSeverity() + ": " + one.getMessage());
        }
        for (CompiledLibrary library : libraries.getCompiledLibraries().values()) {
            Path file = folder.resolve(library.getIdentifier().getId() + ".json");
            Files.writeString(file, CqlTranslator.convertToJson(library.getLibrary()));
        }
    }
}
