// Runs every case of the Node SDKs: `node main.mjs BASE_URL KEY [ONLY]`, where ONLY is a part of a case's line.

import anthropicMessages from "./anthropic-messages.mjs";
import googleGenai from "./google-genai.mjs";
import openaiChat from "./openai-chat.mjs";
import openaiResponses from "./openai-responses.mjs";
import { Report } from "./suite.mjs";

const [baseUrl, key, only = ""] = process.argv.slice(2);
const report = new Report();
for (const surface of [openaiChat, openaiResponses, anthropicMessages, googleGenai]) {
  await report.runSurface(surface(baseUrl.replace(/\/+$/, ""), key), only);
}
console.log(`# pass ${report.passed}`);
console.log(`# fail ${report.failed}`);
process.exit(report.failed > 0 ? 1 : 0);
