/** The first request in three languages, filled in, ready to run. */

/** What a snippet is filled with. */
export interface Filling {
  /** The base URL, ending in `/v1`. */
  baseUrl: string;
  /** A key, or what stands for one. */
  key: string;
  model: string;
}

/** Stands for the key where none is known. */
export const KEY_PLACEHOLDER = "sk-...";

const GREETING = "Hello!";

/** A command for any shell. */
export function curl({ baseUrl, key, model }: Filling): string {
  const body = [
    "{",
    `    "model": ${quoted(model)},`,
    '    "stream": true,',
    '    "messages": [',
    `      {"role": "user", "content": ${quoted(GREETING)}}`,
    "    ]",
    "  }",
  ].join("\n");
  return [
    "curl -N \\",
    `  ${shell(`${baseUrl}/chat/completions`)} \\`,
    `  -H ${shell(`Authorization: Bearer ${key}`)} \\`,
    `  -H ${shell("Content-Type: application/json")} \\`,
    `  -d ${shell(body)}`,
  ].join("\n");
}

/** OpenAI's own SDK for Python. */
export function python({ baseUrl, key, model }: Filling): string {
  return [
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${quoted(baseUrl)}, api_key=${quoted(key)})`,
    "",
    "stream = client.chat.completions.create(",
    `    model=${quoted(model)},`,
    `    messages=[{"role": "user", "content": ${quoted(GREETING)}}],`,
    "    stream=True,",
    ")",
    "for chunk in stream:",
    "    if chunk.choices:",
    '        print(chunk.choices[0].delta.content or "", end="", flush=True)',
  ].join("\n");
}

/** OpenAI's own SDK for Node. */
export function node({ baseUrl, key, model }: Filling): string {
  return [
    'import OpenAI from "openai";',
    "",
    "const client = new OpenAI({",
    `  baseURL: ${quoted(baseUrl)},`,
    `  apiKey: ${quoted(key)},`,
    "});",
    "",
    "const stream = await client.chat.completions.create({",
    `  model: ${quoted(model)},`,
    `  messages: [{ role: "user", content: ${quoted(GREETING)} }],`,
    "  stream: true,",
    "});",
    "for await (const chunk of stream) {",
    '  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");',
    "}",
  ].join("\n");
}

/** The same quoting is right in Python and in JavaScript. */
const quoted = (text: string): string => JSON.stringify(text);

/** In single quotes nothing is special to a shell but the single quote. */
const shell = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
