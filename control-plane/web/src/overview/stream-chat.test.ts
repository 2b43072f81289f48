import { describe, expect, it, vi } from "vitest";
import { events, RelayRefusal, streamChat } from "./stream-chat.ts";

function bodyOf(text: string, size: number): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  return new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
      controller.close();
    },
  });
}

const chunk = (content: string) => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`;

async function ask(response: Response): Promise<string> {
  vi.stubGlobal("fetch", async () => response);
  let shown = "";
  const keep = (text: string) => {
    shown = text;
  };
  await streamChat("http://localhost/v1", "sk-a", "demo", "Hello", keep, new AbortController().signal);
  return shown;
}

describe("a streamed answer", () => {
  it("is the same wherever the network cuts it", async () => {
    const text = `${chunk("你好, ")}: a comment\r\n${chunk("world")}data: [DONE]\n\n`;
    for (const size of [1, 2, 7, 1000]) {
      const read: string[] = [];
      for await (const event of events(bodyOf(text, size))) read.push(event);
      expect(read.at(-1)).toBe("[DONE]");
      expect(read).toHaveLength(3);
    }
  });

  it("grows until it is done", async () => {
    expect(await ask(new Response(bodyOf(`${chunk("Hel")}${chunk("lo")}data: [DONE]\n\n`, 5)))).toBe("Hello");
  });

  it("tells what the relay said when it refused", async () => {
    const refused = Response.json({ error: { message: "the token is disabled" } }, { status: 401 });
    await expect(ask(refused)).rejects.toThrow(new RelayRefusal("the token is disabled"));
  });

  it("tells an error that came in the middle", async () => {
    const broken = `${chunk("Hel")}data: ${JSON.stringify({ error: { message: "the upstream broke off" } })}\n\n`;
    await expect(ask(new Response(bodyOf(broken, 9)))).rejects.toThrow("the upstream broke off");
  });

  it("is refused in words where something else answers", async () => {
    await expect(ask(new Response("<html>", { status: 404 }))).rejects.toThrow("HTTP 404");
  });
});
