/** Sends one chat request to the relay as any program would, and reads its streamed answer. */

/** Why there was no answer, in the relay's words. */
export class RelayRefusal extends Error {
  override readonly name = "RelayRefusal";
}

/** Sends a question; calls back with the answer as far as it has come. Throws {@link RelayRefusal} when the relay says no. */
export async function streamChat(
  baseUrl: string,
  key: string,
  model: string,
  question: string,
  onText: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const response = await fetch(`${baseUrl}/chat/completions`, {
    method: "POST",
    signal,
    credentials: "omit",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ model, stream: true, max_tokens: 100, messages: [{ role: "user", content: question }] }),
  });
  if (!response.ok || !response.body) throw new RelayRefusal(await refusalText(response));
  let text = "";
  for await (const event of events(response.body)) {
    if (event === "[DONE]") return;
    text += deltaOf(event);
    onText(text);
  }
}

/** The data of each server-sent event. */
export async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const lines = (rest + decoder.decode(value, { stream: !done })).split(/\r?\n/);
    rest = done ? "" : (lines.pop() ?? "");
    for (const line of lines) {
      if (line.startsWith("data:")) yield line.slice("data:".length).trim();
    }
    if (done) return;
  }
}

function deltaOf(event: string): string {
  const chunk = JSON.parse(event) as {
    error?: { message?: string };
    choices?: { delta?: { content?: string | null } }[];
  };
  if (chunk.error) throw new RelayRefusal(chunk.error.message ?? event);
  return chunk.choices?.[0]?.delta?.content ?? "";
}

async function refusalText(response: Response): Promise<string> {
  const body = await response.json().catch(() => undefined);
  const said = (body as { error?: { message?: string } } | undefined)?.error?.message;
  return said ?? `HTTP ${response.status}`;
}
