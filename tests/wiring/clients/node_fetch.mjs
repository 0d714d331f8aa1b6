for (const options of [{}, { method: "POST", body: "x".repeat(20000) }]) {
  const reply = await fetch(process.argv[2], options);
  console.log(reply.status, (await reply.text()).trim());
}
