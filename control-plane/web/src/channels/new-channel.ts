/** What the channel form holds, and what the API is asked for. */

import type { NewChannel, Provider } from "../api/channels.ts";
import { EMPTY_SETTINGS, newSettings, type SettingsValues } from "./settings-values.ts";

/** Names are those of the API, so that its word about a field finds it. */
export interface ChannelValues {
  provider?: string;
  name: string;
  /** One key to a line. */
  keys: string;
  models: string[];
  base_url: string;
  api_version: string;
  groups: string[];
  priority: number;
  weight: number;
  settings: SettingsValues;
}

export const EMPTY: ChannelValues = {
  name: "",
  keys: "",
  models: [],
  base_url: "",
  api_version: "",
  groups: ["default"],
  priority: 0,
  weight: 1,
  settings: EMPTY_SETTINGS,
};

/** The lines that are not empty, without space around them, each once. */
export function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/).map(line => line.trim());
  return [...new Set(lines.filter(line => line !== ""))];
}

/** What the API is asked for. What is left empty is left out, so that the server's defaults apply. */
export function newChannel(values: ChannelValues & { provider: string }): NewChannel {
  const keys = linesOf(values.keys);
  const [key] = keys;
  const baseUrl = values.base_url.trim();
  const version = values.api_version.trim();
  const settings = newSettings(values.settings);
  return {
    name: values.name.trim(),
    provider: values.provider,
    models: values.models,
    groups: values.groups,
    priority: values.priority,
    weight: values.weight,
    ...(keys.length > 1 ? { keys } : key === undefined ? {} : { key }),
    ...(baseUrl === "" ? {} : { base_url: baseUrl }),
    ...(version === "" ? {} : { api_version: version }),
    ...(settings === undefined ? {} : { settings }),
  };
}

/** What changes in the form when another provider is chosen: its name and models, where nobody wrote others. */
export function onProviderChosen(
  chosen: Provider,
  before: Provider | undefined,
  values: Pick<ChannelValues, "name" | "models">,
): Pick<ChannelValues, "name" | "models"> {
  const isNameTheirs = values.name !== "" && values.name !== before?.name;
  const isListTheirs = values.models.length > 0 && values.models.join() !== before?.models.join();
  return {
    name: isNameTheirs ? values.name : chosen.name,
    models: isListTheirs ? values.models : chosen.models,
  };
}
