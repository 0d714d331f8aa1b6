// quotes-service: a plain HTTP handler on the JDK's own server. It knows where to listen, and nothing of agents.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executors;
import java.util.concurrent.locks.LockSupport;

public class QuotesService {
	static final String[] QUOTES = {
		"To be or not to be", "You, too, Brutus?", "Champagne should be cold, dry and free",
		"I think, therefore I am", "In vino veritas", "Less is more"};

	/** What the file of the demo's act of chaos says, while it is there: slow, fail. */
	static String ill() {
		try {
			return Files.readString(Path.of(System.getenv().getOrDefault("SICK", "")));
		} catch (IOException none) {
			return "";
		}
	}

	static void quote(HttpExchange x) throws IOException {
		String ill = ill();
		if (ill.equals("slow")) {
			LockSupport.parkNanos(150_000_000);
		} else if (ill.equals("fail")) {
			x.sendResponseHeaders(503, -1);
			x.close();
			return;
		}
		String query = x.getRequestURI().getQuery();
		int id = Integer.parseInt(query.substring(query.indexOf("id=") + 3));
		byte[] body = ("{\"quote\":\"" + QUOTES[id % QUOTES.length] + "\",\"language\":\"en\",\"servedBy\":\""
			+ System.getenv("INSTANCE") + "\"}").getBytes(StandardCharsets.UTF_8);
		x.getResponseHeaders().set("Content-Type", "application/json");
		x.sendResponseHeaders(200, body.length);
		x.getResponseBody().write(body);
		x.close();
	}

	public static void main(String[] args) throws IOException {
		String[] listen = System.getenv("LISTEN").split(":");
		HttpServer server = HttpServer.create(new InetSocketAddress(listen[0], Integer.parseInt(listen[1])), 128);
		server.createContext("/api/quote", QuotesService::quote);
		server.setExecutor(Executors.newFixedThreadPool(8));
		server.start();
	}
}
