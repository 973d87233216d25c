"""A deep set: tracks with any number of hits each.

After M. Zaheer et al., Deep Sets (2017), https://arxiv.org/abs/1703.06114: what is summed over the
elements of a set does not depend on their order or number.

The invariant: shapes depend on the shapes of the inputs only, never on their values. A hit of a track
outside the batch is not dropped but added to a row of its own, so the model can be exported with any
number of tracks and hits.
"""

import torch
from torch import nn


class TrackHitDeepSet(nn.Module):
    """Encodes tracks and hits, sums the hits of each track, and regresses a number from 0 to 1.

    Parameters
    ----------
    width
        Of the encodings of a track and of a hit.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.track_encoder = nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, width))
        self.hit_encoder = nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, width))
        self.head = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(
        self,
        tracks: torch.Tensor,
        hits: torch.Tensor,
        hit_scale: torch.Tensor,
        hit_to_track: torch.Tensor,
        track_begin: torch.Tensor,
    ) -> torch.Tensor:
        """Predict one value for each track of a batch.

        Parameters
        ----------
        tracks
            The batch's tracks, floating, `[B, 3]`.
        hits
            All hits of the collection, of other tracks too, floating, `[N, 3]`; N may be 0.
        hit_scale
            Multiplies the hits, floating, `[N, 1]`.
        hit_to_track
            Row of each hit's track in the whole collection, int32, `[N, 1]`.
        track_begin
            Row of the batch's first track in the whole collection, int32, `[1, 1]`.

        Returns
        -------
        torch.Tensor
            Floating, `[B, 1]`, between 0 and 1.
        """
        encoded_tracks = self.track_encoder(tracks)
        encoded_hits = self.hit_encoder(hits * hit_scale)
        batch = tracks.shape[0]
        # Rows 0 and B + 1 of the sums take the hits of tracks before and after the batch.
        position = hit_to_track[:, 0] - track_begin[0, 0] + 1
        row = position.clamp(min=0, max=batch + 1)
        sums = encoded_hits.new_zeros((batch + 2, encoded_hits.shape[1])).index_add(0, row, encoded_hits)
        joined = torch.cat((encoded_tracks, sums[1 : batch + 1]), dim=1)
        return torch.sigmoid(self.head(joined))
