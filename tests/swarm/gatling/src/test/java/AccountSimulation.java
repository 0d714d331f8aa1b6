import static io.gatling.javaapi.core.CoreDsl.*;
import static io.gatling.javaapi.http.HttpDsl.*;

import io.gatling.javaapi.core.ScenarioBuilder;
import io.gatling.javaapi.core.Simulation;
import io.gatling.javaapi.http.HttpProtocolBuilder;
import java.time.Duration;

/** One GET a user, users at a steady rate, over shared connections: -Durl=, -Dpath=, -Dusers= (a second), -Dseconds=. */
public class AccountSimulation extends Simulation {
    private final Duration seconds = Duration.ofSeconds(Integer.getInteger("seconds", 30));
    private final double users = Integer.getInteger("users", 1000);
    private final HttpProtocolBuilder protocol = http.baseUrl(System.getProperty("url")).shareConnections();
    private final ScenarioBuilder account = scenario("account")
        .exec(http("account").get(System.getProperty("path", "/accounts/7")).check(status().is(200)));

    {
        setUp(account.injectOpen(constantUsersPerSec(users).during(seconds))).protocols(protocol)
            .assertions(global().failedRequests().count().is(0L));
    }
}
