/** How hard a password is to guess, by rules the server has and by a rough count of what a guesser must try. */

/** The least number of characters for administrators. */
export const ADMIN_LENGTH = 12;

/** How hard it is to guess. */
export type Strength = "weak" | "fair" | "strong";

/** What the server checks, one by one. */
export interface PasswordRules {
  isLongEnough: boolean;
  isNotTheName: boolean;
  isVaried: boolean;
}

const FAIR_BITS = 50;
const STRONG_BITS = 70;
const LEAST_DIFFERENT = 5;
/** Shorter usernames may be part of a password: nearly every password has an `a`. */
const TELLING_NAME = 3;

/** Checks a password against the rules, so that the form can tick them off one by one. */
export function checkPassword(password: string, username: string): PasswordRules {
  const characters = [...password];
  const name = username.trim().toLowerCase();
  return {
    isLongEnough: characters.length >= ADMIN_LENGTH,
    isNotTheName: password !== "" && ([...name].length < TELLING_NAME || !password.toLowerCase().includes(name)),
    isVaried: new Set(characters).size >= LEAST_DIFFERENT,
  };
}

/** Whether every rule holds. */
export function isAcceptable(rules: PasswordRules): boolean {
  return rules.isLongEnough && rules.isNotTheName && rules.isVaried;
}

/** A rough measure: distinct characters decide more than length, so that repeating does not help. */
export function strengthOf(password: string): Strength {
  const characters = [...password];
  const different = new Set(characters).size;
  const effective = Math.min(characters.length, different * 2);
  const bits = effective * Math.log2(alphabet(password));
  if (bits >= STRONG_BITS) return "strong";
  return bits >= FAIR_BITS ? "fair" : "weak";
}

function alphabet(password: string): number {
  const classes: [RegExp, number][] = [
    [/[a-z]/, 26],
    [/[A-Z]/, 26],
    [/\d/, 10],
    [/[^a-zA-Z\d]/, 32],
  ];
  const size = classes.reduce((sum, [pattern, letters]) => sum + (pattern.test(password) ? letters : 0), 0);
  return Math.max(size, 1);
}
