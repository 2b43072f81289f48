/** An API in memory, for tests of pages: enough of it to hold a conversation, and a record of what it was asked. */

import type { components } from "../api/schema.d.ts";
import * as answers from "./fake-answers.ts";

type Schemas = components["schemas"];

/** What the site is like when the test begins. */
export interface Site {
  isSetUp: boolean;
  role: Schemas["RoleName"] | null;
  available: number;
  channels: Schemas["Channel"][];
  tokens: Schemas["Token"][];
  pricedModels: string[];
  requests: Schemas["Request"][];
  build: string;
}

/** A new site with the demo channel, and root signed in. */
export const DEMO: Site = {
  isSetUp: true,
  role: "root",
  available: 5_000_000,
  channels: [answers.channel(1, "Demo", ["demo"])],
  tokens: [],
  pricedModels: ["demo"],
  requests: [],
  build: "1.2.3",
};

/** A call as it came in. */
export interface Asked {
  method: string;
  path: string;
  search: URLSearchParams;
  headers: Headers;
  body: Record<string, unknown>;
}

type Handler = (asked: Asked, id: string) => Response | Promise<Response>;

/** Refuses as the API does. */
export function refusal(status: number, code: string, fields: Schemas["FieldError"][] = []): Response {
  const problem: Schemas["Problem"] = {
    type: `/docs/reference/problems#${code}`,
    title: `Title of ${code}`,
    status,
    code,
    detail: `Detail of ${code}`,
    request_id: "0199-test",
    errors: fields,
  };
  return Response.json(problem, { status, headers: { "content-type": "application/problem+json" } });
}

/** The site's API. `overrides` answer instead, by `METHOD /path`. */
export class FakeApi {
  readonly site: Site;
  readonly asked: Asked[] = [];
  readonly overrides = new Map<string, Handler>();

  constructor(site: Partial<Site> = {}) {
    this.site = { ...structuredClone(DEMO), ...site };
  }

  /** Takes a call: the shape of `fetch`. */
  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    const url = new URL(request.url);
    const text = await request.text();
    const body = text === "" ? {} : JSON.parse(text);
    const asked = {
      method: request.method,
      path: url.pathname,
      search: url.searchParams,
      headers: request.headers,
      body,
    };
    this.asked.push(asked);
    const response = await this.answer(asked);
    response.headers.set("x-sluice-build", this.site.build);
    return response;
  };

  /** What was asked of one route. */
  calls(method: string, path: string): Asked[] {
    return this.asked.filter(asked => asked.method === method && asked.path === path);
  }

  private async answer(asked: Asked): Promise<Response> {
    const override = this.overrides.get(`${asked.method} ${asked.path}`);
    if (override) return override(asked, "");
    const isOpen = ["/api/status", "/api/setup"].includes(asked.path) || asked.path === "/api/session";
    if (!isOpen && this.site.role === null) return refusal(401, "not_signed_in");
    const [, resource = "", id = "", action = ""] = asked.path.slice(1).split("/");
    const name = [asked.method, resource, id === "" ? "" : "one", action].filter(Boolean).join(" ");
    const handler = this.routes[name];
    return handler ? handler(asked, id) : refusal(404, "no_route");
  }

  private readonly routes: Record<string, Handler> = {
    "GET status": () => Response.json(answers.status(this.site.isSetUp)),
    "POST setup": () => (this.site.isSetUp ? refusal(410, "already_set_up") : this.begin()),
    "GET session": () =>
      this.site.role ? Response.json(answers.session(this.site.role)) : refusal(401, "not_signed_in"),
    "POST session": ({ body }) => (body.password === "wrong" ? refusal(401, "bad_credentials") : this.begin()),
    "DELETE session": () => {
      this.site.role = null;
      return new Response(null, { status: 204 });
    },
    "GET users one balance": () => Response.json(answers.balance(this.site.available)),
    "POST users one adjustments": ({ body }) => {
      this.site.available += Number(body.amount);
      return Response.json({ amount: body.amount }, { status: 201 });
    },
    "GET tokens": () => list(this.site.tokens),
    "POST tokens": ({ body }) => {
      const made = answers.token(this.site.tokens.length + 1, String(body.name));
      this.site.tokens.unshift(made);
      return Response.json({ ...made, key: "sk-fresh-key" }, { status: 201 });
    },
    "POST tokens one reveal": (_, id) => Response.json({ ...this.token(id), key: "sk-revealed-key" }),
    "PATCH tokens one": ({ body }, id) => Response.json(Object.assign(this.token(id), body, { state: body.status })),
    "DELETE tokens one": (_, id) => {
      this.site.tokens = this.site.tokens.filter(token => token.id !== Number(id));
      return new Response(null, { status: 204 });
    },
    "GET channels": () => list(this.site.channels),
    "POST channels": ({ body }) => {
      const made = answers.channel(this.site.channels.length + 1, String(body.name), body.models as string[]);
      this.site.channels.push(made);
      return Response.json({ ...made, config_seq: 8 }, { status: 201 });
    },
    "GET providers": () => list(answers.providers),
    "GET groups": () => list([answers.group]),
    "GET models": ({ search }) => list(this.models(search.get("names"))),
    "POST prices": ({ body }) => {
      this.site.pricedModels.push(String(body.model));
      return Response.json(answers.price(String(body.model)), { status: 201 });
    },
    "GET requests": () => list(this.site.requests),
    "GET requests one": (_, id) => {
      const row = this.site.requests.find(request => request.request_id === id);
      return row ? Response.json(answers.explained(row)) : refusal(404, "not_found");
    },
    "GET relays one": () => Response.json({ seq: 8, applied: 1, total: 1, is_live_everywhere: true }),
  };

  private begin(): Response {
    this.site.role = "root";
    this.site.isSetUp = true;
    return Response.json(answers.session("root"), { status: 201 });
  }

  /** The models that channels in use serve, or those that are named. */
  private models(named: string | null): Schemas["Model"][] {
    const served = this.site.channels
      .filter(channel => channel.status === "enabled")
      .flatMap(channel => channel.models);
    const names = [...new Set(named === null ? served : named.split(","))].sort();
    const isPriced = (name: string) => this.site.pricedModels.includes(name);
    return names.map(name => answers.model(name, isPriced(name) ? {} : { is_priced: false, price: null }));
  }

  private token(id: string): Schemas["Token"] {
    const found = this.site.tokens.find(token => token.id === Number(id));
    if (!found) throw new Error(`the test has no token ${id}`);
    return found;
  }
}

function list(items: readonly unknown[]): Response {
  return Response.json({ items, next_cursor: null });
}
