import { cleanup, configure } from "@testing-library/react";
import type { Window } from "happy-dom";
import { afterEach } from "vitest";

// generous, because it is only waited for when something is wrong
configure({ asyncUtilTimeout: 10_000, getElementError: message => new Error(message ?? "not found") });

// what slides in is there at once
(window as unknown as Window).happyDOM.settings.device.prefersReducedMotion = "reduce";

afterEach(cleanup);
