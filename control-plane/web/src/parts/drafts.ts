/**
 * What was typed into forms that were closed before they were sent: opened again they go on where they were left.
 * Kept in this page's memory only, because forms hold keys.
 */

const drafts = new Map<string, object>();

/** What was typed into a form before. */
export function draftOf<Values extends object>(form: string): Partial<Values> {
  return (drafts.get(form) ?? {}) as Partial<Values>;
}

/** Keeps what is typed into a form. */
export function keepDraft(form: string, values: object): void {
  drafts.set(form, values);
}

/** Somebody else may sit here next: nothing that was typed is left. */
export function dropDrafts(): void {
  drafts.clear();
}

/** The form was sent: the next one begins empty. */
export function dropDraft(form: string): void {
  drafts.delete(form);
}
