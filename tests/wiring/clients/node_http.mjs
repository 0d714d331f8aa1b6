import http from "node:http";

const call = (method, body) => new Promise((done, fail) => {
  const request = http.request(process.argv[2], { method }, (reply) => {
    let text = "";
    reply.on("data", (piece) => { text += piece; });
    reply.on("end", () => { console.log(reply.statusCode, text.trim()); done(); });
  });
  request.on("error", fail);
  request.end(body);
});

await call("GET");
await call("POST", "x".repeat(20000));
