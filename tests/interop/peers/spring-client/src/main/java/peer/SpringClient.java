package peer;

import jakarta.servlet.http.HttpServletRequest;
import java.util.List;
import java.util.Map;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.web.client.RestClientBuilderConfigurer;
import org.springframework.cloud.client.ServiceInstance;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.cloud.context.config.annotation.RefreshScope;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Primary;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestClient;

/** A Spring service that tells what it knows. Everything else is said on the command line (tests/interop/peers.py). */
@SpringBootApplication
public class SpringClient {
	public static void main(String[] args) {
		SpringApplication.run(SpringClient.class, args);
	}

	/** The one that Eureka's own client takes: it must not ask the load balancer where Eureka is. */
	@Bean
	@Primary
	RestClient.Builder plain(RestClientBuilderConfigurer configurer) {
		return configurer.configure(RestClient.builder());
	}

	@Bean
	@LoadBalanced
	RestClient.Builder balanced(RestClientBuilderConfigurer configurer) {
		return configurer.configure(RestClient.builder());
	}

	/** A property that a refresh renews. */
	@RestController
	@RefreshScope
	static class Refreshed {
		@Value("${greeting:none}")
		private String greeting;

		@GetMapping("/value")
		String value() {
			return greeting;
		}
	}

	@RestController
	static class Estate {
		private final DiscoveryClient discovery;
		private final RestClient balanced;

		Estate(DiscoveryClient discovery, @LoadBalanced RestClient.Builder balanced) {
			this.discovery = discovery;
			this.balanced = balanced.build();
		}

		/** The instances of a service as the registry tells them: those that Spring would call. */
		@GetMapping("/seen")
		List<Map<String, Object>> seen(@RequestParam("service") String service) {
			return discovery.getInstances(service).stream().map(Estate::told).toList();
		}

		/** What a service answers when Spring's own load balancer chooses the instance. */
		@GetMapping("/call/{service}/**")
		String call(@PathVariable("service") String service, HttpServletRequest request) {
			String path = request.getRequestURI().substring(("/call/" + service).length());
			return balanced.get().uri("http://" + service + path).retrieve().body(String.class);
		}

		private static Map<String, Object> told(ServiceInstance instance) {
			return Map.of("id", instance.getInstanceId(), "host", instance.getHost(), "port", instance.getPort(),
					"metadata", instance.getMetadata());
		}
	}
}
