// quotes-service: a plain HTTP handler on the JDK's own server. It knows where to listen, and nothing of agents.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

public class QuotesService {
	static final String[] QUOTES = {
		"To be or not to be", "You, too, Brutus?", "Champagne should be cold, dry and free",
		"I think, therefore I am", "In vino veritas", "Less is more"};

	static void quote(HttpExchange x) throws IOException {
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
