// GET and POST by java.net.HttpURLConnection or java.net.http.HttpClient, as they are without any setting, one line each.
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class JavaClients {
	static final String BODY = "x".repeat(20000);

	static void urlConnection(String url, boolean post) throws Exception {
		HttpURLConnection c = (HttpURLConnection) URI.create(url).toURL().openConnection();
		if (post) {
			c.setDoOutput(true);
			c.getOutputStream().write(BODY.getBytes());
		}
		System.out.println(c.getResponseCode() + " " + new String(c.getInputStream().readAllBytes()).trim());
	}

	static void httpClient(HttpClient client, HttpRequest.Builder request) throws Exception {
		HttpResponse<String> r = client.send(request.build(), HttpResponse.BodyHandlers.ofString());
		System.out.println(r.statusCode() + " " + r.body().trim());
	}

	public static void main(String[] args) throws Exception {
		if (args[0].equals("HttpURLConnection")) {
			urlConnection(args[1], false);
			urlConnection(args[1], true);
			return;
		}
		HttpClient client = HttpClient.newHttpClient();
		httpClient(client, HttpRequest.newBuilder(URI.create(args[1])));
		httpClient(client, HttpRequest.newBuilder(URI.create(args[1])).POST(HttpRequest.BodyPublishers.ofString(BODY)));
	}
}
