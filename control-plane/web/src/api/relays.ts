/** Where changes are live. */

import { queryOptions } from "@tanstack/react-query";
import { api, read } from "./client.ts";

const LOOK_MILLIS = 400;
/** A relay that is away may take long: the note need not follow it. */
const MOST_LOOKS = 12;

/** On how many relays a change is live. Looks again until it is on all of them, for some seconds. */
export const appliedQuery = (seq: number) =>
  queryOptions({
    queryKey: ["applied", seq],
    queryFn: () => read(api.GET("/api/relays/applied", { params: { query: { seq } } })),
    refetchInterval: ({ state }) =>
      state.data?.is_live_everywhere || state.dataUpdateCount >= MOST_LOOKS ? false : LOOK_MILLIS,
  });
