package peer;

import java.io.InputStream;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.jar.JarFile;
import java.util.zip.ZipEntry;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.webapp.WebAppContext;

/** Serves the war of BOOT-INF/lib at / of 127.0.0.1. Argument: the port; java.io.tmpdir is written to. */
public class HystrixDashboard {
	public static void main(String[] args) throws Exception {
		Path folder = Path.of(System.getProperty("java.io.tmpdir"));
		Path war = folder.resolve("dashboard.war");
		try (JarFile own = new JarFile(System.getProperty("java.class.path"))) {
			ZipEntry entry = own.stream().filter(one -> one.getName().endsWith(".war")).findFirst().orElseThrow();
			try (InputStream from = own.getInputStream(entry)) {
				Files.copy(from, war);
			}
		}
		WebAppContext context = new WebAppContext(war.toString(), "/");
		context.setTempDirectory(folder.resolve("unpacked").toFile());
		Server server = new Server(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])));
		server.setHandler(context);
		server.start();
		server.join();
	}
}
