"""Descriptions of the options of recipes; one name means one thing, but for the recipes that are named."""

from __future__ import annotations

__all__ = ["option_text"]

TEXTS = {
    "activation": "nonlinearity, by name",
    "alpha": "order of Renyi's bound: 1 is the ELBO, 0 the importance-weighted bound",
    "amount": "share of the features that are corrupted, or the noise in units of the data's standard deviation",
    "beta": "weight of the rate",
    "classes": "classes of each latent",
    "code_size": "numbers in a code",
    "codes": "codes in the codebook",
    "commitment": "weight that holds the encoder's outputs to their codes",
    "components": "components of the mixture",
    "covariance": "of each component: diag, full or spherical; or tied, one for all",
    "decay": "weight decay of the networks, per unit of learning rate",
    "decoders": "a decoder for each class, or one that all share",
    "depth": "number of layers",
    "diagonal": "weight that holds the variances of the codes to 1",
    "families": "families of columns: age=student-t,income=log-normal",
    "first": "share of the epochs in the first stage",
    "fit": "in closed form, by EM, or by gradient steps",
    "flows": "number of flow layers",
    "gamma": "weight of the total correlation",
    "gradient": "sum over all states, or the score of drawn points",
    "groups": "sizes of the groups of latents, from the top down",
    "hard": "pass hard samples forward, and relaxed gradients back",
    "hiding": "share of the rows of which entries are hidden from the encoder in training",
    "hidden": "sizes of the hidden layers",
    "latent": "number of latent features",
    "leapfrog_steps": "leapfrog steps of the guide",
    "learned_prior": "learn a prior for each class",
    "levels": "levels of each number of a code",
    "likelihood": "family of p(x | z), by name",
    "local_lr": "learning rate of the Gaussians of the data",
    "local_steps": "steps of the Gaussians of the data per step of the model",
    "missing_model": "entries are missing at random, or by their own values (self; numbers are log p(x_o, s))",
    "nats": "nats of rate that are free",
    "noise": "kind of corruption",
    "of": "codes that are penalised: means of the guide, or drawn points",
    "off": "weight that holds the covariances of the codes to 0",
    "penalty": "weight of the critic's gradient penalty",
    "planes": "latents at each position",
    "points": "latent points per datum",
    "rank": "rank of the covariance beside its diagonal",
    "sees_batch": "show the encoder the batch, where --batch-key names batches",
    "sees_mask": "show the encoder which entries are missing",
    "share": "noise in the critic's features, as a share of their variance; by default it is 1",
    "state": "width of the top-down path",
    "steps": "gradient steps per datum at evaluation",
    "temperature": "temperature of the relaxation",
    "units": "latent bits, or Gaussian units",
    "warmup": "epochs over which the weight of the rate rises to its value",
    "weight": "weight of the penalty",
    "width": "channels of convolutions",
}
OF_RECIPES = {
    ("beta-tcvae", "beta"): "weight of the total correlation",
    ("capacity", "gamma"): "price of a nat above or below the target",
    ("capacity", "nats"): "target of the rate, in nats",
    ("free-bits", "nats"): "nats of each feature's rate that are free",
    ("info-vae", "alpha"): "1 minus the weight of the rate",
    ("made", "components"): "components of the mixture of each feature",
    ("pixel-vae", "components"): "components of the mixture of each pixel",
    ("mixture-prior", "first"): "share of the epochs before the components start from k-means",
    ("pixel-vae", "planes"): "planes of context that the latents give to the pixels",
    ("pixelcnn", "components"): "components of the mixture of each pixel",
    ("semi-supervised", "weight"): "weight of the classifier's log-probability of known classes",
    ("vae-gan", "weight"): "weight of the reconstruction for the decoder",
    ("vampprior", "components"): "number of pseudo-inputs",
    ("very-deep", "depth"): "groups of latents at each size",
}


def option_text(recipe: str, option: str) -> str:
    """Return the description of an option of a recipe; nothing for one that is not ours."""
    return OF_RECIPES.get((recipe, option)) or TEXTS.get(option, "")
