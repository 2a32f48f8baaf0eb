// The authorisation server of a hospital whose access tokens the service itself takes: oidc-provider, with
// Backend Services (client credentials, a signed assertion) and apps (authorization code, PKCE).
//
// It reads one line of JSON from standard input: audiences that tokens may be for (RFC 8707), scopes, format of
// the tokens (jwt or opaque), patient that a token of the app is about, redirect of the app, keys of the
// program that signs in (a JWK set), secret of the service that asks about opaque tokens.
// It prints one line of JSON with its url once it listens on a free port of 127.0.0.1.
// After a POST to /rotate it signs with a new key, and the old one is in its JWK set no more.
import { createInterface } from "node:readline";
import { createServer } from "node:http";
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

const given = JSON.parse((await createInterface({ input: process.stdin })[Symbol.asyncIterator]().next()).value);

const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const clients = [
  {
    client_id: "the-app",
    redirect_uris: [given.redirect],
    token_endpoint_auth_method: "none",
    grant_types: ["authorization_code"],
    response_types: ["code"],
  },
  {
    client_id: "the-program",
    redirect_uris: [],
    token_endpoint_auth_method: "private_key_jwt",
    token_endpoint_auth_signing_alg: "ES384",
    jwks: given.keys,
    grant_types: ["client_credentials"],
    response_types: [],
  },
  {
    client_id: "the-service",
    client_secret: given.secret,
    redirect_uris: [],
    grant_types: [],
    response_types: [],
  },
];

function signingKey(kid) {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid, use: "sig" };
}

function providing(kid) {
  const provider = new Provider(issuer, {
    clients,
    jwks: { keys: [signingKey(kid)] },
    scopes: ["openid"],
    enabledJWA: { clientAuthSigningAlgValues: ["ES384", "RS384"] },
    extraParams: ["aud"],
    pkce: { required: () => true },
    cookies: { keys: ["only for tests"] },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    ttl: { AccessToken: 600, AuthorizationCode: 60, ClientCredentials: 600, Grant: 600, IdToken: 600, Interaction: 60, Session: 600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx, _, oneOf) => oneOf ?? ctx.oidc.params.aud ?? given.audiences[0],
        useGrantedResource: () => true,
        getResourceServerInfo,
      },
    },
    extraTokenClaims: (_, token) => (token.kind === "AccessToken" ? { patient: given.patient } : undefined),
    findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  });
  provider.use(async (ctx, next) => {
    if (!ctx.path.startsWith("/interaction/")) return next();
    ctx.respond = false;
    return interact(provider, ctx);
  });
  return provider.callback();
}

function getResourceServerInfo(_, audience) {
  return {
    audience,
    scope: given.scopes.join(" "),
    accessTokenFormat: given.format,
    ...(given.format === "jwt" ? { jwt: { sign: { alg: "RS384" } } } : {}),
  };
}

/** Signs somebody in, and grants what is asked for; nobody is asked. */
async function interact(provider, ctx) {
  const { params } = await provider.interactionDetails(ctx.req, ctx.res);
  const grant = new provider.Grant({ accountId: "somebody", clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  grant.addResourceScope(params.aud, params.scope);
  const grantId = await grant.save();
  const result = { login: { accountId: "somebody", remember: false }, consent: { grantId } };
  return provider.interactionFinished(ctx.req, ctx.res, result);
}

let answer = providing("first");
server.on("request", (request, response) => {
  if (request.method !== "POST" || request.url !== "/rotate") return answer(request, response);
  answer = providing("second");
  return response.writeHead(204).end();
});
console.log(JSON.stringify({ url: issuer }));
